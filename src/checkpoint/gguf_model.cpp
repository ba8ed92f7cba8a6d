#include "taskneuron/checkpoint/gguf_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "base/json.h"
#include "base/torch_compat.h"
#include "checkpoint/gguf_types.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

// What llama.cpp does to a tensor when it writes a file, undone.
enum class Change {
  kNone,
  kTranspose,    // GPT-2 stores [in, out]
  kMinusOne,     // Gemma's norms multiply with 1 + weight
  kQueryHalves,  // pairs that are turned together are neighbours in the file
  kKeyHalves,
};

struct TensorName {
  const char* gguf;
  const char* folder;
  Change change = Change::kNone;
};

// Names of one architecture, without ".weight" and ".bias".
struct Architecture {
  const char* name;        // general.architecture
  const char* model_type;  // of the folder
  const char* class_name;
  const char* layers;  // before a layer's number in the folder
  std::vector<TensorName> whole, layer;
};

std::vector<TensorName> llama_layer(Change query, Change key) {
  return {{"attn_norm", "input_layernorm"},    {"attn_q", "self_attn.q_proj", query},
          {"attn_k", "self_attn.k_proj", key}, {"attn_v", "self_attn.v_proj"},
          {"attn_output", "self_attn.o_proj"}, {"attn_q_norm", "self_attn.q_norm"},
          {"attn_k_norm", "self_attn.k_norm"}, {"ffn_norm", "post_attention_layernorm"},
          {"ffn_gate", "mlp.gate_proj"},       {"ffn_up", "mlp.up_proj"},
          {"ffn_down", "mlp.down_proj"}};
}

const std::vector<TensorName> kLlamaWhole = {
    {"token_embd", "model.embed_tokens"}, {"output_norm", "model.norm"}, {"output", "lm_head"}};
const std::vector<TensorName> kGemmaWhole = {{"token_embd", "model.embed_tokens"},
                                             {"output_norm", "model.norm", Change::kMinusOne},
                                             {"output", "lm_head"}};

std::vector<TensorName> gemma_layer() {
  return {{"attn_norm", "input_layernorm", Change::kMinusOne},
          {"attn_q", "self_attn.q_proj"},
          {"attn_k", "self_attn.k_proj"},
          {"attn_v", "self_attn.v_proj"},
          {"attn_output", "self_attn.o_proj"},
          {"attn_q_norm", "self_attn.q_norm", Change::kMinusOne},
          {"attn_k_norm", "self_attn.k_norm", Change::kMinusOne},
          {"post_attention_norm", "post_attention_layernorm", Change::kMinusOne},
          {"ffn_norm", "pre_feedforward_layernorm", Change::kMinusOne},
          {"post_ffw_norm", "post_feedforward_layernorm", Change::kMinusOne},
          {"ffn_gate", "mlp.gate_proj"},
          {"ffn_up", "mlp.up_proj"},
          {"ffn_down", "mlp.down_proj"}};
}

std::vector<TensorName> phi3_layer() {
  return {{"attn_norm", "input_layernorm"},    {"attn_qkv", "self_attn.qkv_proj"},
          {"attn_output", "self_attn.o_proj"}, {"ffn_norm", "post_attention_layernorm"},
          {"ffn_up", "mlp.gate_up_proj"},      {"ffn_down", "mlp.down_proj"}};
}

std::vector<TensorName> gpt2_layer() {
  return {{"attn_norm", "ln_1"},
          {"attn_qkv", "attn.c_attn", Change::kTranspose},
          {"attn_output", "attn.c_proj", Change::kTranspose},
          {"ffn_norm", "ln_2"},
          {"ffn_up", "mlp.c_fc", Change::kTranspose},
          {"ffn_down", "mlp.c_proj", Change::kTranspose}};
}

const std::vector<Architecture>& architectures() {
  const auto plain = [] { return llama_layer(Change::kNone, Change::kNone); };
  static const std::vector<Architecture> all = {
      {"llama", "llama", "LlamaForCausalLM", "model.layers.", kLlamaWhole,
       llama_layer(Change::kQueryHalves, Change::kKeyHalves)},
      {"qwen2", "qwen2", "Qwen2ForCausalLM", "model.layers.", kLlamaWhole, plain()},
      {"qwen3", "qwen3", "Qwen3ForCausalLM", "model.layers.", kLlamaWhole, plain()},
      {"gemma2", "gemma2", "Gemma2ForCausalLM", "model.layers.", kGemmaWhole, gemma_layer()},
      {"gemma3", "gemma3_text", "Gemma3ForCausalLM", "model.layers.", kGemmaWhole, gemma_layer()},
      {"phi3", "phi3", "Phi3ForCausalLM", "model.layers.", kLlamaWhole, phi3_layer()},
      {"gpt2",
       "gpt2",
       "GPT2LMHeadModel",
       "transformer.h.",
       {{"token_embd", "transformer.wte"},
        {"position_embd", "transformer.wpe"},
        {"output_norm", "transformer.ln_f"},
        {"output", "lm_head"}},
       gpt2_layer()},
  };
  return all;
}

const Architecture& architecture_of(const GgufFile& file) {
  const std::string name = file.metadata().string("general.architecture");
  for (const Architecture& one : architectures()) {
    if (name == one.name) return one;
  }
  file.metadata().fail("general.architecture", fmt::format("'{}' is not read; read are {}", name,
                                                           fmt::join(gguf_architectures(), ", ")));
}

// ---- config.json ----

// Metadata of the file's architecture, without its name in front.
class Fields {
 public:
  explicit Fields(const GgufFile& file)
      : file_(file), prefix_(architecture_of(file).name + std::string(".")) {}

  std::string key(const std::string& name) const { return prefix_ + name; }
  bool contains(const std::string& name) const { return metadata().contains(key(name)); }
  std::int64_t integer(const std::string& name) const { return metadata().integer(key(name)); }
  double number(const std::string& name) const { return metadata().number(key(name)); }
  const GgufMetadata& metadata() const { return file_.metadata(); }
  const GgufFile& file() const { return file_; }

 private:
  const GgufFile& file_;
  std::string prefix_;
};

// The factors of a rotation's frequencies, which some files hold as a tensor.
std::optional<std::vector<double>> factors(const GgufFile& file, const std::string& name) {
  if (!file.contains(name)) return std::nullopt;
  const at::Tensor values = file.tensor(name).to(at::kDouble).flatten();
  return std::vector<double>(values.data_ptr<double>(), values.data_ptr<double>() + values.numel());
}

OutputJson longrope(const std::vector<double>& brief, const std::vector<double>& lengthy,
                    std::int64_t original, double attention_factor) {
  return {{"rope_type", "longrope"},
          {"short_factor", brief},
          {"long_factor", lengthy},
          {"original_max_position_embeddings", original},
          {"attention_factor", attention_factor}};
}

// rope_scaling; null where rotations are as they are.
OutputJson rope_scaling(const Fields& fields, std::int64_t context) {
  const GgufFile& file = fields.file();
  // Llama 3's stretching is in the file as factors.
  if (const auto own = factors(file, "rope_freqs.weight")) return longrope(*own, *own, context, 1);
  const auto brief = factors(file, "rope_factors_short.weight");
  const auto lengthy = factors(file, "rope_factors_long.weight");
  if (brief && lengthy) {
    const std::int64_t original = fields.integer("rope.scaling.original_context_length");
    const double stretch = static_cast<double>(context) / static_cast<double>(original);
    const double usual =
        stretch <= 1 ? 1.0
                     : std::sqrt(1 + std::log(stretch) / std::log(static_cast<double>(original)));
    return longrope(*brief, *lengthy, original,
                    fields.contains("rope.scaling.attn_factor")
                        ? fields.number("rope.scaling.attn_factor")
                        : usual);
  }
  if (!fields.contains("rope.scaling.type")) return nullptr;
  const std::string kind = fields.metadata().string(fields.key("rope.scaling.type"));
  if (kind == "none") return nullptr;
  if (kind != "linear" && kind != "yarn") {
    fields.metadata().fail(fields.key("rope.scaling.type"),
                           fmt::format("'{}' is not read; read are none, linear and yarn", kind));
  }
  OutputJson scaling = {{"rope_type", kind}, {"factor", fields.number("rope.scaling.factor")}};
  if (kind == "yarn") {
    scaling["original_max_position_embeddings"] =
        fields.integer("rope.scaling.original_context_length");
  }
  return scaling;
}

std::int64_t vocabulary_of(const GgufFile& file) {
  const auto found = file.tensors().find("token_embd.weight");
  if (found == file.tensors().end()) {
    throw Error(fmt::format("{}: tensor 'token_embd.weight' is missing", file.path().string()));
  }
  return found->second.shape.front();
}

void add_special_tokens(OutputJson& config, const GgufMetadata& metadata) {
  for (const auto& [key, name] : {std::pair("bos_token_id", "tokenizer.ggml.bos_token_id"),
                                  std::pair("eos_token_id", "tokenizer.ggml.eos_token_id"),
                                  std::pair("pad_token_id", "tokenizer.ggml.padding_token_id")}) {
    if (metadata.contains(name)) config[key] = metadata.integer(name);
  }
}

OutputJson gpt2_config(const Fields& fields) {
  return {{"n_positions", fields.integer("context_length")},
          {"n_embd", fields.integer("embedding_length")},
          {"n_layer", fields.integer("block_count")},
          {"n_head", fields.integer("attention.head_count")},
          {"n_inner", fields.integer("feed_forward_length")},
          {"layer_norm_epsilon", fields.number("attention.layer_norm_epsilon")},
          {"activation_function", "gelu_new"}};
}

void add_gemma(OutputJson& config, const Fields& fields, const Architecture& architecture) {
  const bool third = std::string_view(architecture.name) == "gemma3";
  config["hidden_activation"] = "gelu_pytorch_tanh";
  // The largest of both families scale by the hidden size that a head has a share of.
  const std::int64_t layers = config["num_hidden_layers"].get<std::int64_t>();
  const bool largest = layers == (third ? 62 : 46);
  config["query_pre_attn_scalar"] =
      largest ? config["hidden_size"].get<std::int64_t>() / fields.integer("attention.head_count")
              : config["head_dim"].get<std::int64_t>();
  config["sliding_window"] = fields.integer("attention.sliding_window");
  const auto cap = [&](const char* name, double fallback) -> OutputJson {
    if (fields.contains(name)) return fields.number(name);
    return fallback == 0 ? OutputJson(nullptr) : OutputJson(fallback);
  };
  config["attn_logit_softcapping"] = cap("attn_logit_softcapping", third ? 0 : 50);
  config["final_logit_softcapping"] = cap("final_logit_softcapping", third ? 0 : 30);
  if (!third) return;
  config["rope_local_base_freq"] =
      fields.contains("rope.freq_base_swa") ? fields.number("rope.freq_base_swa") : 1e4;
  config["sliding_window_pattern"] = 6;
}

OutputJson llama_config(const Fields& fields, const Architecture& architecture) {
  const GgufFile& file = fields.file();
  const std::int64_t hidden = fields.integer("embedding_length");
  const std::int64_t heads = fields.integer("attention.head_count");
  if (heads <= 0)
    fields.metadata().fail(fields.key("attention.head_count"), "expected a number above 0");
  const std::int64_t context = fields.integer("context_length");
  const bool gemma = std::string_view(architecture.name).starts_with("gemma");
  OutputJson config = {
      {"hidden_size", hidden},
      {"intermediate_size", fields.integer("feed_forward_length")},
      {"num_hidden_layers", fields.integer("block_count")},
      {"num_attention_heads", heads},
      {"num_key_value_heads", fields.contains("attention.head_count_kv")
                                  ? fields.integer("attention.head_count_kv")
                                  : heads},
      {"head_dim", fields.contains("attention.key_length") ? fields.integer("attention.key_length")
                                                           : hidden / heads},
      {"max_position_embeddings", context},
      {"rms_norm_eps", fields.number("attention.layer_norm_rms_epsilon")},
      {"rope_theta", fields.contains("rope.freq_base") ? fields.number("rope.freq_base") : 1e4},
      {"rope_scaling", rope_scaling(fields, context)}};
  if (gemma) {
    add_gemma(config, fields, architecture);
  } else {
    config["hidden_act"] = "silu";
  }
  if (std::string_view(architecture.name) == "llama") {
    config["attention_bias"] = file.contains("blk.0.attn_q.bias");
  }
  const std::int64_t turned = fields.contains("rope.dimension_count")
                                  ? fields.integer("rope.dimension_count")
                                  : config["head_dim"].get<std::int64_t>();
  if (std::string_view(architecture.name) == "phi3") {
    config["partial_rotary_factor"] =
        static_cast<double>(turned) / config["head_dim"].get<double>();
    if (fields.contains("attention.sliding_window")) {
      config["sliding_window"] = fields.integer("attention.sliding_window");
    }
  }
  if (fields.contains("expert_count") && fields.integer("expert_count") > 0) {
    fields.metadata().fail(fields.key("expert_count"), "mixtures of experts are not read");
  }
  return config;
}

// ---- tensors ----

struct Place {
  std::string name;
  Change change = Change::kNone;
};

// Tensors that config.json holds, or nothing here needs.
bool is_rotation(const std::string& name) {
  return name == "rope_freqs.weight" || name == "rope_factors_short.weight" ||
         name == "rope_factors_long.weight";
}

std::optional<Place> find_place(const std::vector<TensorName>& names, const std::string& name,
                                const std::string& prefix) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string::npos) return std::nullopt;
  const std::string module = name.substr(0, dot), part = name.substr(dot);
  if (part != ".weight" && part != ".bias") return std::nullopt;
  for (const TensorName& one : names) {
    if (module != one.gguf) continue;
    const bool bias = part == ".bias";
    // A bias has no rows to transpose, but those of queries and keys are in the file's order.
    const Change change = bias && one.change == Change::kTranspose ? Change::kNone : one.change;
    return Place{prefix + one.folder + part, change};
  }
  return std::nullopt;
}

Place place_of(const Architecture& architecture, const std::string& name, const GgufFile& file) {
  std::optional<Place> found;
  constexpr std::string_view kLayer = "blk.";
  if (name.starts_with(kLayer)) {
    const std::size_t end = name.find_first_not_of("0123456789", kLayer.size());
    if (end != std::string::npos && end > kLayer.size() && name[end] == '.') {
      found =
          find_place(architecture.layer, name.substr(end + 1),
                     architecture.layers + name.substr(kLayer.size(), end - kLayer.size()) + ".");
    }
  } else {
    found = find_place(architecture.whole, name, "");
  }
  if (!found) {
    throw Error(fmt::format("{}: tensor '{}' is no part of a '{}' model that is read here",
                            file.path().string(), name, architecture.name));
  }
  return *found;
}

// Rows of heads whose pairs are neighbours, as halves: [heads, pairs, 2, ...] to [heads, 2, pairs,
// ...].
at::Tensor halves(const at::Tensor& rows, std::int64_t heads, const std::string& name,
                  const GgufFile& file) {
  if (heads <= 0 || rows.size(0) % (2 * heads) != 0) {
    throw Error(fmt::format("{}: tensor '{}' has {} rows, which are no {} heads",
                            file.path().string(), name, rows.size(0), heads));
  }
  const std::int64_t pairs = rows.size(0) / heads / 2;
  return rows.reshape({heads, pairs, 2, -1}).transpose(1, 2).reshape(rows.sizes());
}

at::Tensor changed(const at::Tensor& tensor, const Place& place, const std::string& name,
                   const GgufFile& file) {
  const auto heads = [&](const char* key) {
    const Fields fields(file);
    return fields.integer(fields.contains(key) ? key : "attention.head_count");
  };
  switch (place.change) {
    case Change::kNone: return tensor;
    case Change::kTranspose: return tensor.t().contiguous();
    case Change::kMinusOne: return tensor - 1;
    case Change::kQueryHalves: return halves(tensor, heads("attention.head_count"), name, file);
    case Change::kKeyHalves: return halves(tensor, heads("attention.head_count_kv"), name, file);
  }
  return tensor;
}

constexpr std::int64_t kSliceNumbers = 1 << 24;

std::int64_t numbers_of(const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return count;
}

}  // namespace

std::vector<std::string> gguf_architectures() {
  std::vector<std::string> names;
  for (const Architecture& one : architectures()) names.emplace_back(one.name);
  return names;
}

std::string gguf_config_json(const GgufFile& file, at::ScalarType dtype) {
  const Architecture& architecture = architecture_of(file);
  const Fields fields(file);
  OutputJson config = {{"model_type", architecture.model_type},
                       {"architectures", {architecture.class_name}},
                       {"vocab_size", vocabulary_of(file)},
                       {"tie_word_embeddings", !file.contains("output.weight")},
                       {"torch_dtype", dtype_name(dtype)}};
  config.update(std::string_view(architecture.name) == "gpt2" ? gpt2_config(fields)
                                                              : llama_config(fields, architecture));
  add_special_tokens(config, file.metadata());
  return json_text(config, 2) + "\n";
}

std::vector<TensorSource> gguf_tensors(const GgufFile& file, at::ScalarType dtype) {
  const Architecture& architecture = architecture_of(file);
  std::vector<TensorSource> sources;
  for (const auto& [name, where] : file.tensors()) {
    if (is_rotation(name)) continue;
    const Place place = place_of(architecture, name, file);
    std::vector<std::int64_t> shape = where.shape;
    if (place.change == Change::kTranspose) {
      if (shape.size() != 2) {
        throw Error(fmt::format("{}: tensor '{}' is no matrix", file.path().string(), name));
      }
      std::swap(shape[0], shape[1]);
    }
    TensorSource& source = sources.emplace_back();
    source.name = place.name;
    source.dtype = dtype;
    source.shape = shape;
    const auto rounded = [&file, name = name, place, dtype](const at::Tensor& stored) {
      const at::Tensor made = changed(stored, place, name, file).to(dtype);
      if (!at::isfinite(made).all().item<bool>()) {
        throw Error(fmt::format("{}: tensor '{}' holds values that are not finite in {}",
                                file.path().string(), name, dtype_name(dtype)));
      }
      return made;
    };
    source.make = [&file, name = name, rounded] { return rounded(file.tensor(name)); };
    // An embedding may be larger than all else; rows of other changes belong together.
    const bool any_rows = place.change == Change::kNone && shape.size() > 1;
    const std::int64_t step = kSliceNumbers / (numbers_of(shape) / shape.front()) + 1;
    for (std::int64_t begin = 0; any_rows && step < shape.front() && begin < shape.front();
         begin += step) {
      const std::int64_t end = std::min(begin + step, shape.front());
      source.make_slices.push_back([&file, name = name, rounded, begin, end] {
        return rounded(file.rows(name, begin, end));
      });
    }
  }
  return sources;
}

}  // namespace taskneuron
