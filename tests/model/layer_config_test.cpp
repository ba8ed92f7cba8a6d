// Blocks that no claimed family has, layer by layer different, on a made-up checkpoint, against a
// plain reading of their formulas: no packing, no cache, LibTorch's own gradients.
#include <cmath>
#include <fstream>
#include <map>

#include "model/batch_plan.h"
#include "model/kernels/dispatch.h"
#include "model/memory.h"
#include "support/support.h"
#include "taskneuron/checkpoint/safetensors.h"
#include "taskneuron/model/decoder.h"
#include "taskneuron/model/trainable.h"

namespace taskneuron {
namespace {

using test::TokenExample;
using Weights = std::map<std::string, at::Tensor>;

constexpr std::int64_t kLayers = 4, kHidden = 24, kWidth = 40, kVocabulary = 50;
constexpr std::int64_t kHeads = 4, kKeyHeads = 2, kHeadDim = 8;

std::vector<double> frequencies(double theta, std::int64_t pairs) {
  std::vector<double> result;
  for (std::int64_t i = 0; i < pairs; ++i) {
    result.push_back(std::pow(theta, -static_cast<double>(i) / static_cast<double>(pairs)));
  }
  return result;
}

// The blocks of published families, each with layers that differ.
ModelConfig blocks_of(const std::string& family) {
  ModelConfig config;
  config.model_type = family;
  config.layers = kLayers;
  config.hidden = config.embedding_width = kHidden;
  config.ffn_width = kWidth;
  config.vocabulary = kVocabulary;
  config.heads = kHeads;
  config.kv_heads = kKeyHeads;
  config.head_dim = kHeadDim;
  config.max_positions = 64;
  config.norm = family == "gemma3_text" ? NormKind::kRmsNormOne : NormKind::kRmsNorm;
  config.attention_scale = 0.3;
  config.activation = Activation::kSilu;
  config.gated = true;
  config.tied_head = family == "gemma3_text";
  LayerConfig sliding, full;
  if (family == "gemma3_text") {
    sliding.attention_output_norm = sliding.ffn_output_norm = OutputNorm::kAdded;
    sliding.query_key_norm = QueryKeyNorm::kPerHead;
    full = sliding;
  } else if (family == "olmo2") {
    sliding.attention_norm = sliding.ffn_norm = false;
    sliding.attention_output_norm = sliding.ffn_output_norm = OutputNorm::kAdded;
    sliding.query_key_norm = QueryKeyNorm::kAllHeads;
    full = sliding;
  } else {
    sliding.query_key_norm = full.query_key_norm = QueryKeyNorm::kPerHead;
  }
  sliding.rotary.frequency = frequencies(100, kHeadDim / 2);
  full.rotary.frequency = frequencies(10000, 2);
  sliding.sliding_window = 3;
  LayerConfig unturned = full;
  unturned.rotary.frequency.clear();
  unturned.sliding_window = 5;
  config.each_layer = {sliding, full, unturned, sliding};
  return config;
}

// Opens a checkpoint of random weights with everything that such blocks hold.
class MadeUpModel {
 public:
  explicit MadeUpModel(const std::string& family) : config_(blocks_of(family)) {
    at::manual_seed(11);
    const auto put = [&](const std::string& name, std::vector<std::int64_t> shape) {
      weights_[name] = at::randn(shape) * (shape.size() == 1 ? 0.3 : 0.25) +
                       (shape.size() == 1 && config_.norm == NormKind::kRmsNorm ? 1.0 : 0.0);
    };
    put("model.embed_tokens.weight", {kVocabulary, kHidden});
    put("model.norm.weight", {kHidden});
    if (!config_.tied_head) put("lm_head.weight", {kVocabulary, kHidden});
    const bool all = family == "olmo2", gemma = family == "gemma3_text";
    for (std::int64_t l = 0; l < kLayers; ++l) {
      const std::string layer = "model.layers." + std::to_string(l) + ".";
      put(layer + "self_attn.q_proj.weight", {kHeads * kHeadDim, kHidden});
      put(layer + "self_attn.k_proj.weight", {kKeyHeads * kHeadDim, kHidden});
      put(layer + "self_attn.v_proj.weight", {kKeyHeads * kHeadDim, kHidden});
      put(layer + "self_attn.o_proj.weight", {kHidden, kHeads * kHeadDim});
      put(layer + "self_attn.q_norm.weight", {(all ? kHeads : 1) * kHeadDim});
      put(layer + "self_attn.k_norm.weight", {(all ? kKeyHeads : 1) * kHeadDim});
      put(layer + "mlp.gate_proj.weight", {kWidth, kHidden});
      put(layer + "mlp.up_proj.weight", {kWidth, kHidden});
      put(layer + "mlp.down_proj.weight", {kHidden, kWidth});
      put(layer + "post_attention_layernorm.weight", {kHidden});
      if (!all) put(layer + "input_layernorm.weight", {kHidden});
      if (gemma) put(layer + "pre_feedforward_layernorm.weight", {kHidden});
      if (gemma || all) put(layer + "post_feedforward_layernorm.weight", {kHidden});
    }
    std::ofstream(folder_ / "config.json") << R"({"model_type": "llama", "vocab_size": 50,
      "num_hidden_layers": 4, "hidden_size": 24, "intermediate_size": 40, "head_dim": 8,
      "max_position_embeddings": 64, "num_attention_heads": 4, "num_key_value_heads": 2})";
    write_safetensors(folder_ / "model.safetensors", NamedTensors(weights_.begin(), weights_.end()),
                      {});
  }
  Checkpoint checkpoint() const { return Checkpoint(folder_.path()).with_config(config_); }
  const ModelConfig& config() const { return config_; }
  // In float64, each a leaf.
  Weights leaves() const {
    Weights result;
    for (const auto& [name, weight] : weights_) {
      result[name] = weight.to(at::kDouble).requires_grad_();
    }
    return result;
  }

 private:
  test::TemporaryFolder folder_;
  ModelConfig config_;
  Weights weights_;
};

at::Tensor rms(const at::Tensor& x, const at::Tensor& weight, NormKind kind) {
  const at::Tensor normalized = x / (x.square().mean(-1, true) + 1e-5).sqrt();
  return normalized * (kind == NormKind::kRmsNormOne ? weight + 1 : weight);
}

// [T, heads, head_dim] turned by the positions 0..T-1.
at::Tensor turned(const at::Tensor& x, const std::vector<double>& frequency) {
  const auto pairs = static_cast<std::int64_t>(frequency.size());
  std::vector<at::Tensor> first, second;
  for (std::int64_t i = 0; i < pairs; ++i) {
    const at::Tensor angle = at::arange(x.size(0), at::kFloat) *
                             static_cast<float>(frequency[static_cast<std::size_t>(i)]);
    const at::Tensor cosine = angle.cos().to(at::kDouble).unsqueeze(1);
    const at::Tensor sine = angle.sin().to(at::kDouble).unsqueeze(1);
    const at::Tensor a = x.select(2, i), b = x.select(2, i + pairs);
    first.push_back(a * cosine - b * sine);
    second.push_back(b * cosine + a * sine);
  }
  first.insert(first.end(), second.begin(), second.end());
  if (first.empty()) return x;
  return at::cat({at::stack(first, 2), x.narrow(2, 2 * pairs, x.size(2) - 2 * pairs)}, 2);
}

// Logits [T, V] of one text.
at::Tensor plain_logits(const ModelConfig& config, const Weights& w,
                        const std::vector<std::int64_t>& ids) {
  const auto tokens = static_cast<std::int64_t>(ids.size());
  const bool olmo = config.model_type == "olmo2", gemma = config.model_type == "gemma3_text";
  at::Tensor x = w.at("model.embed_tokens.weight").index_select(0, at::tensor(ids, at::kLong));
  for (std::int64_t l = 0; l < kLayers; ++l) {
    const auto weight = [&](const std::string& name) -> const at::Tensor& {
      return w.at("model.layers." + std::to_string(l) + "." + name + ".weight");
    };
    const auto norm = [&](const at::Tensor& input, const std::string& name) {
      return rms(input, weight(name), config.norm);
    };
    const at::Tensor read = olmo ? x : norm(x, "input_layernorm");
    const auto heads = [&](const std::string& part, std::int64_t count) {
      at::Tensor y = read.mm(weight("self_attn." + part + "_proj").t());
      if (part == "v") return y.view({tokens, count, kHeadDim});
      if (olmo) y = norm(y, "self_attn." + part + "_norm");
      y = y.view({tokens, count, kHeadDim});
      if (!olmo) y = norm(y, "self_attn." + part + "_norm");
      return turned(y, config.layer(l).rotary.frequency);
    };
    const at::Tensor queries = heads("q", kHeads), keys = heads("k", kKeyHeads),
                     values = heads("v", kKeyHeads);
    std::vector<at::Tensor> mixed;
    for (std::int64_t t = 0; t < tokens; ++t) {
      const std::int64_t window = config.layer(l).sliding_window.value_or(tokens);
      const std::int64_t first = std::max<std::int64_t>(0, t + 1 - window);
      for (std::int64_t h = 0; h < kHeads; ++h) {
        const std::int64_t shared = h / (kHeads / kKeyHeads);
        const at::Tensor seen = keys.narrow(0, first, t + 1 - first).select(1, shared);
        const at::Tensor weights = at::softmax(seen.mv(queries[t][h]) * 0.3, 0);
        mixed.push_back(values.narrow(0, first, t + 1 - first).select(1, shared).t().mv(weights));
      }
    }
    at::Tensor added = at::stack(mixed).view({tokens, kHeads * kHeadDim});
    added = added.mm(weight("self_attn.o_proj").t());
    x = x + (gemma || olmo ? norm(added, "post_attention_layernorm") : added);
    const at::Tensor ffn_read =
        olmo ? x : norm(x, gemma ? "pre_feedforward_layernorm" : "post_attention_layernorm");
    added = (at::silu(ffn_read.mm(weight("mlp.gate_proj").t())) *
             ffn_read.mm(weight("mlp.up_proj").t()))
                .mm(weight("mlp.down_proj").t());
    x = x + (gemma || olmo ? norm(added, "post_feedforward_layernorm") : added);
  }
  x = rms(x, w.at("model.norm.weight"), config.norm);
  return x.mm(w.at(config.tied_head ? "model.embed_tokens.weight" : "lm_head.weight").t());
}

const std::vector<TokenExample> kExamples = {
    {{5, 17, 40, 3, 28, 12, 9, 41, 2}, 3}, {{44, 2, 30, 7, 31}, 1}, {{10, 11, 12, 13, 14, 15}, 2}};

// Σ over examples of their mean answer loss.
at::Tensor plain_loss(const ModelConfig& config, const Weights& w) {
  at::Tensor total = at::zeros({}, at::kDouble);
  for (const TokenExample& example : kExamples) {
    const at::Tensor log_probabilities = at::log_softmax(plain_logits(config, w, example.ids), 1);
    const auto length = static_cast<std::int64_t>(example.ids.size());
    for (std::int64_t t = length - example.answer_tokens; t < length; ++t) {
      const std::int64_t id = example.ids[static_cast<std::size_t>(t)];
      total = total - log_probabilities[t - 1][id] / static_cast<double>(example.answer_tokens);
    }
  }
  return total;
}

class LayerConfigs : public ::testing::TestWithParam<std::tuple<std::string, bool>> {
 protected:
  void SetUp() override { kernels::enable(std::get<1>(GetParam())); }
  void TearDown() override { kernels::enable(true); }
  MadeUpModel model_{std::get<0>(GetParam())};
};

TEST_P(LayerConfigs, LogitsAreThoseOfTheFormulas) {
  for (const at::ScalarType dtype : {at::kDouble, at::kFloat}) {
    const Decoder decoder(model_.checkpoint(), {dtype, at::kCPU});
    const at::NoGradGuard no_gradients;
    NeuronHook none;
    const Batch batch = test::answer_batch(kExamples, /*all_logits=*/true);
    const at::Tensor features = decoder.features(batch, none);
    for (std::size_t e = 0; e < kExamples.size(); ++e) {
      const Segment& segment = batch.segments[e];
      EXPECT_CLOSE(decoder.logits(features).narrow(0, segment.begin, segment.tokens()),
                   plain_logits(model_.config(), model_.leaves(), kExamples[e].ids), 2e-6);
    }
  }
}

// One token at a time behind the cache: the windows of every layer hold there too.
TEST_P(LayerConfigs, DecodingStepsAreThoseOfTheWholeText) {
  const Decoder decoder(model_.checkpoint(), {});
  const at::NoGradGuard no_gradients;
  NeuronHook none;
  const std::vector<std::int64_t>& ids = kExamples[0].ids;
  const at::Tensor expected = plain_logits(model_.config(), model_.leaves(), ids);
  KeyValueCache cache(1, kLayers);
  for (std::size_t t = 0; t < ids.size(); ++t) {
    Batch step;
    step.ids = {ids[t]};
    step.positions = {static_cast<std::int64_t>(t)};
    Segment& segment = step.segments.emplace_back();
    segment.end = segment.logit_rows = 1;
    segment.cached = 0;
    segment.append_to_cache = true;
    EXPECT_CLOSE(decoder.logits(decoder.features(step, none, &cache))[0],
                 expected[static_cast<std::int64_t>(t)], 1e-5);
  }
}

TEST_P(LayerConfigs, GradientsOfEveryWeightAreThoseOfTheFormulas) {
  const Checkpoint checkpoint = model_.checkpoint();
  const Decoder decoder(checkpoint, {at::kDouble, at::kCPU});
  TrainableOptions all;
  all.part = TrainedPart::kAll;
  TrainableModel trained = make_trainable(checkpoint, decoder, all);
  for (const ParameterPtr& parameter : trained.parameters) parameter->clear_gradient();
  const Batch batch = test::answer_batch(kExamples);
  NeuronHook none;
  trained.decoder.target_loss(trained.decoder.features(batch, none), batch).backward();
  const Weights leaves = model_.leaves();
  plain_loss(model_.config(), leaves).backward();
  EXPECT_EQ(trained.parameters.size(), leaves.size());
  for (const ParameterPtr& parameter : trained.parameters) {
    SCOPED_TRACE(parameter->tensor);
    const at::Tensor& leaf = leaves.at(parameter->tensor);
    EXPECT_CLOSE(parameter->gradient, leaf.grad(), 1e-5);
    if (parameter->tensor.find("norm") == std::string::npos) continue;
    // The loss itself, along a direction.
    const at::Tensor direction = at::randn(leaf.sizes(), at::kDouble);
    constexpr double kStep = 1e-5;
    const auto loss_at = [&](double distance) {
      const at::NoGradGuard no_gradients;
      const at::Tensor start = parameter->master.clone();
      parameter->master.add_(direction, distance);
      parameter->store();
      const double loss =
          trained.decoder.target_loss(trained.decoder.features(batch, none), batch).item<double>();
      parameter->master.copy_(start);
      parameter->store();
      return loss;
    };
    const double measured = (loss_at(kStep) - loss_at(-kStep)) / (2 * kStep);
    const double slope = (parameter->gradient * direction).sum().item<double>();
    EXPECT_TRUE(std::abs(slope - measured) <= 1e-6 * std::max(1.0, std::abs(measured)))
        << slope << " " << measured;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, LayerConfigs,
                         ::testing::Combine(::testing::Values("gemma3_text", "olmo2", "qwen3"),
                                            ::testing::Bool()));

// Masks and rotations are made once for layers that agree, and for texts of one length.
TEST(BatchPlan, LayersThatAgreeShareMasksAndRotations) {
  const auto config = std::make_shared<const ModelConfig>(blocks_of("gemma3_text"));
  const Batch batch = test::answer_batch({kExamples[0], kExamples[1], kExamples[0]});
  const BatchPlanPtr plan = make_plan(batch, config, {});
  EXPECT_EQ(plan->windows.size(), 3u);
  EXPECT_EQ(plan->rotations.size(), 3u);
  EXPECT_EQ(plan->layers[0].window, plan->layers[3].window);
  EXPECT_EQ(plan->layers[0].rotation, plan->layers[3].rotation);
  EXPECT_FALSE(plan->rotation(2).cosine.defined());
  const auto mask = [&](std::size_t segment, std::int64_t layer) {
    return plan->score_bias(plan->segments[segment], layer);
  };
  EXPECT_TRUE(mask(0, 0).is_same(mask(2, 3)));
  EXPECT_FALSE(mask(0, 1).defined());  // the loops know what is earlier
  EXPECT_EQ(mask(0, 0).isfinite().sum().item<std::int64_t>(), 1 + 2 + 6 * 3);
  EXPECT_EQ(mask(0, 2).isfinite().sum().item<std::int64_t>(), 1 + 2 + 3 + 4 + 4 * 5);
  EXPECT_EQ(mask(1, 0).isfinite().sum().item<std::int64_t>(), 1 + 2 + 2 * 3);
}

// Two windows need two masks; blocks with more norms keep more.
TEST(MemoryModel, CountsMasksAndNormsOfEveryKind) {
  const MadeUpModel made("gemma3_text");
  const PassShape shape{1000, 10, 10, 100, false};
  const auto bytes = [&](const auto& change, Pass pass) {
    ModelConfig config = made.config();
    for (LayerConfig& layer : config.each_layer) change(layer);
    const Checkpoint checkpoint = made.checkpoint().with_config(config);
    return MemoryModel(checkpoint, {}).pass(pass, shape);
  };
  const auto as_it_is = [](LayerConfig&) {};
  const auto one_window = [](LayerConfig& layer) { layer.sliding_window = 3; };
  const auto no_window = [](LayerConfig& layer) { layer.sliding_window.reset(); };
  const auto fewer_norms = [](LayerConfig& layer) {
    layer.query_key_norm = QueryKeyNorm::kNone;
    layer.ffn_output_norm = OutputNorm::kNone;
  };
  const std::int64_t mask = 1000 * 100 * 4;
  EXPECT_EQ(bytes(as_it_is, Pass::kForward) - bytes(one_window, Pass::kForward), mask);
  EXPECT_EQ(bytes(one_window, Pass::kForward) - bytes(no_window, Pass::kForward), mask);
  const std::int64_t inputs = kHidden + (kHeads + kKeyHeads) * kHeadDim;
  EXPECT_EQ(bytes(as_it_is, Pass::kBackward) - bytes(fewer_norms, Pass::kBackward),
            1000 * (kLayers - 1) * 4 * inputs);
}

}  // namespace
}  // namespace taskneuron
