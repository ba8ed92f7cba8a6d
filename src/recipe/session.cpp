#include "taskneuron/recipe/session.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/file.h"
#include "base/fingerprint.h"
#include "base/sha256.h"
#include "base/world.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/memory.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/recipe/locate_model.h"
#include "text/unicode.h"

namespace taskneuron {

const char* const kModelHelp =
    "Hugging Face model folder, org/name[@revision] in the local Hugging Face cache, or a GGUF "
    "file";

void ModelOptions::declare(OptionList& list) {
  list.add("model", &model, Effect::kInput, kModelHelp).positional().required();
  list.add("dtype", &dtype, Effect::kResult,
           "auto, float32 or bfloat16; auto is bfloat16 where the checkpoint has 16 bits and the "
           "processor multiplies bfloat16 fast");
  list.add("device", &device, Effect::kResult, "cpu, cuda or cuda:N");
  list.add("delta", &deltas, Effect::kInput,
           "What train saved: the model with these changes, PATH or PATH:SCALE");
}

Session::Session(const ModelOptions& options)
    : name_(options.model), folder_(locate_model(options.model)) {
  const at::Device device = parse_device(options.device);
  checkpoint_ = std::make_unique<Checkpoint>(with_deltas(Checkpoint(folder_.path), options.deltas));
  deltas_ = delta_inputs(options.deltas);  // hashed only once they are known to be deltas
  how_ = DecoderOptions{choose_dtype(options.dtype, *checkpoint_, device), device};
  auto tokenizer = std::make_shared<Tokenizer>(folder_.path);
  tokenizer->require_ids_below(checkpoint_->config().vocabulary);
  tokenizer_ = std::move(tokenizer);
  end_of_sequence_ = end_of_sequence_of(*tokenizer_, checkpoint_->config(), options.model);
  if (world().alone()) return;
  world().require_same("model", checkpoint_->hash() + " " + checkpoint_->sample_hash());
  world().require_same("dtype", std::string(dtype_name(how_.dtype)));
}

Session::Session(const Session& session, Checkpoint weights)
    : name_(session.name_),
      folder_(session.folder_),
      deltas_(session.deltas_),
      checkpoint_(std::make_unique<Checkpoint>(std::move(weights))),
      tokenizer_(session.tokenizer_),
      end_of_sequence_(session.end_of_sequence_),
      how_(session.how_) {}

const Decoder& Session::decoder() const {
  std::call_once(decoder_made_, [&] { decoder_ = std::make_unique<Decoder>(*checkpoint_, how_); });
  return *decoder_;
}

std::int64_t end_of_sequence_of(const Tokenizer& tokenizer, const ModelConfig& config,
                                const std::string& model) {
  std::optional<std::int64_t> end = tokenizer.end_of_sequence();
  if (!end && !config.end_of_sequence.empty()) end = config.end_of_sequence.front();
  if (!end) {
    throw Error(fmt::format(
        "{}: neither tokenizer_config.json nor config.json names an end-of-sequence token "
        "(eos_token, eos_token_id)",
        model));
  }
  if (*end < 0 || *end >= config.vocabulary) {
    throw Error(fmt::format("{}: the end-of-sequence token {} is outside the vocabulary of {}",
                            model, *end, config.vocabulary));
  }
  return *end;
}

std::int64_t context_of(const ModelConfig& config, std::int64_t max_length) {
  std::int64_t context = config.max_positions;
  // Longer texts are turned by other factors, and a prefix that texts of both kinds share cannot be
  // turned both ways.
  for (const LayerConfig& layer : config.each_layer) {
    const RotaryConfig& rotary = layer.rotary;
    if (!rotary.long_frequency.empty() && rotary.long_frequency != rotary.frequency) {
      context = std::min(context, rotary.short_positions);
    }
  }
  if (max_length > context) {
    throw Error(fmt::format("`max_length` {} is more than the model's context of {} tokens{}",
                            max_length, context,
                            context < config.max_positions
                                ? " (longer texts need the long factors of its longrope, which "
                                  "are not used)"
                                : ""));
  }
  return max_length > 0 ? max_length : context;
}

std::vector<ScaledDelta> load_deltas(const Checkpoint& base,
                                     const std::vector<std::string>& deltas) {
  std::vector<ScaledDelta> loaded;
  for (const std::string& text : deltas) {
    const DeltaArgument argument = parse_delta_argument(text);
    loaded.push_back({load_delta(argument.path, base), argument.scale});
  }
  return loaded;
}

Checkpoint with_deltas(Checkpoint base, const std::vector<std::string>& deltas) {
  if (deltas.empty()) return base;
  return base.with_replaced(apply_deltas(base, load_deltas(base, deltas)));
}

std::vector<RunInput> delta_inputs(const std::vector<std::string>& deltas) {
  std::vector<RunInput> inputs;
  for (const std::string& text : deltas) {
    const DeltaArgument argument = parse_delta_argument(text);
    inputs.push_back({argument.path, sha256_of_file(argument.path), argument.scale});
  }
  return inputs;
}

std::string deltas_text(const std::vector<RunInput>& deltas) {
  std::string text;
  for (const RunInput& input : deltas) {
    text += fmt::format("{}{}*{}", text.empty() ? "" : " ", input.hash, *input.scale);
  }
  return text;
}

void RowOptions::declare(OptionList& list) {
  list.add("task", &tasks, Effect::kInput, "Task folders (docs/formats/task.md)").required();
  list.add("split", &split, Effect::kResult, "Split of the tasks");
  list.add("limit", &limit, Effect::kResult, "Read at most N rows of the split; 0 reads all")
      .at_least(0);
  list.add("template", &prompt_template, Effect::kInput,
           "Prompt template: default, alpaca, olora, chat, or a JSON file");
  list.add("max_length", &max_length, Effect::kResult,
           "Longest example in tokens; longer inputs are cut. 0: the model's context")
      .at_least(0);
}

PromptTemplate RowOptions::find_template(const std::string& chat_template) const {
  return PromptTemplate::find(prompt_template, prompt_template == "chat" ? chat_template : "");
}

void DataOptions::declare(OptionList& list) {
  RowOptions::declare(list);
  list.add("batch", &batch, Effect::kResult, "Examples per forward pass; 0: by `batch_tokens`")
      .at_least(0);
  list.add("batch_tokens", &batch_tokens, Effect::kResult, "Tokens per forward pass").at_least(1);
  list.add("memory", &memory, Effect::kNone,
           "Memory that the run may take beyond the mapped weights, as 800M or 6G; batches shrink "
           "and layers run twice to fit. Default: most of what is free");
}

void DataOptions::check() const {
  if (!memory.empty()) parse_bytes(memory, "memory");
}

TaskReader::TaskReader(const Session& session, const DataOptions& options)
    : session_(session),
      options_(options),
      prompt_(options.find_template(session.tokenizer().chat_template())),
      max_tokens_(context_of(session.checkpoint().config(), options.max_length)),
      encoder_(session.tokenizer(), prompt_, {max_tokens_, session.end_of_sequence()}) {
  world().require_same("template", prompt_.hash());
}

EncodedTask TaskReader::encode(const std::string& folder) const {
  EncodedTask result{load_task(folder), {}, 0};
  for (const TaskRow& row : load_split(result.task, options_.split, options_.limit)) {
    const std::string where =
        fmt::format("{}:{}", split_path(result.task, options_.split).string(), row.line);
    result.examples.push_back(encoder_.encode(row, where));
    result.truncated += result.examples.back().truncated ? 1 : 0;
  }
  note_truncated(result.task.name, result.truncated,
                 static_cast<std::int64_t>(result.examples.size()));
  require_same_file(split_path(result.task, options_.split).string());
  if (world().alone()) return result;
  Fingerprint all;
  for (const AnswerExample& example : result.examples) {
    all.add(example.ids);
    all.add(example.answer_tokens);
  }
  world().require_same(fmt::format("{} (split {}: tokens of its rows)", folder, options_.split),
                       all.hex());
  return result;
}

namespace {

// Batches are the same on all ranks: as small as the one with the least memory needs them.
void agree(BatchMemory& plan) {
  World& ranks = world();
  if (ranks.alone()) return;
  plan.limits.max_tokens = ranks.least(plan.limits.max_tokens);
  plan.limits.side_by_side = ranks.least(plan.limits.side_by_side);
  plan.recompute = ranks.least(plan.recompute ? 0 : 1) == 0;
}

}  // namespace

BatchMemory TaskReader::fit(const BatchDemand& demand) const {
  const Checkpoint& checkpoint = session_.checkpoint();
  const DecoderOptions& how = session_.decoder().options();
  BatchMemory plan{options_.limits(), false, 0};
  std::int64_t budget = 0;
  // What another device holds is not in this process's memory.
  if (!options_.memory.empty() || how.device.is_cpu()) {
    budget = options_.memory.empty() ? default_memory_budget(checkpoint)
                                     : parse_bytes(options_.memory, "memory");
    plan = fit_batches(checkpoint, how, demand, options_.limits(), budget);
  }
  agree(plan);
  if (budget == 0) return plan;
  if (plan.recompute || plan.limits.max_tokens < options_.batch_tokens) {
    note(fmt::format("to fit {}: {} tokens per forward pass{}; {} predicted", format_bytes(budget),
                     plan.limits.max_tokens,
                     plan.recompute ? ", layers run again in the backward pass" : "",
                     format_bytes(plan.predicted)));
  }
  return plan;
}

namespace {

// What the tokenizer puts before every text: Gemma and Llama begin with <bos>, and know no text
// that does not.
std::vector<std::int64_t> beginning_of_texts(const Tokenizer& tokenizer) {
  const std::vector<std::int64_t> plain = tokenizer.encode("a", SpecialTokens::kLeaveOut);
  std::vector<std::int64_t> whole = tokenizer.encode("a", SpecialTokens::kAdd);
  const auto text = std::search(whole.begin(), whole.end(), plain.begin(), plain.end());
  whole.erase(text == whole.end() ? whole.begin() : text, whole.end());
  return whole;
}

}  // namespace

TextWindows TaskReader::read_text(const std::string& path, std::int64_t tokens) const {
  constexpr std::size_t kMaxBytes = 1u << 30;
  constexpr std::int64_t kMaxWindow = 2048;
  const std::string text = read_file(path, kMaxBytes);
  require_same_file(path);
  if (!is_valid_utf8(text)) throw Error(fmt::format("{}: is not valid UTF-8", path));
  std::vector<std::int64_t> ids = session_.tokenizer().encode(text, SpecialTokens::kLeaveOut);
  if (tokens > 0 && tokens < std::ssize(ids)) ids.resize(static_cast<std::size_t>(tokens));
  try {
    return text_windows(ids, beginning_of_texts(session_.tokenizer()),
                        std::min(max_tokens_, kMaxWindow));
  } catch (const Error& error) {
    throw Error(fmt::format("{}: {}", path, error.what()));
  }
}

void note_truncated(const std::string& task, std::int64_t truncated, std::int64_t examples) {
  if (truncated == 0) return;
  note(fmt::format("{}: the input of {} of {} examples was cut to fit the context", task, truncated,
                   examples));
}

}  // namespace taskneuron
