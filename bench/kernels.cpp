// The CPU's loops and matrix products one by one (Google Benchmark), against LibTorch's operations
// for the same thing: kernels [--benchmark_filter=REGEX].
#include <benchmark/benchmark.h>

#include "base/torch_compat.h"
#include "model/attention.h"
#include "model/batch_plan.h"
#include "model/expert.h"
#include "model/kernels/dispatch.h"
#include "model/loss.h"
#include "model/matrix_product.h"
#include "model/operations.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/tensor_pool.h"
#include "taskneuron/neuron/relevance.h"

namespace {

using namespace taskneuron;

// The shape of a GPT-2 layer, 16 texts of 128 tokens.
constexpr std::int64_t kTexts = 16, kTokens = 128, kRows = kTexts * kTokens;
constexpr std::int64_t kHidden = 768, kWidth = 3072, kHeads = 12, kVocabulary = 50257;

at::ScalarType type_of(const benchmark::State& state) {
  return state.range(0) == 0 ? at::kFloat : at::kBFloat16;
}
at::Tensor random(const benchmark::State& state, std::int64_t rows, std::int64_t width) {
  return at::randn({rows, width}, at::kFloat).to(type_of(state));
}

// Runs `step` per iteration on the loops (range 1 = 1) or on LibTorch's operations (0).
template <typename Step>
void run(benchmark::State& state, const Step& step) {
  kernels::enable(state.range(1) != 0);
  for (auto _ : state) benchmark::DoNotOptimize(step());
  kernels::enable(true);
  state.SetItemsProcessed(state.iterations() * kRows);
}

void norm(benchmark::State& state) {
  Norm weights{random(state, 1, kHidden)[0], random(state, 1, kHidden)[0]};
  const at::Tensor x = random(state, kRows, kHidden), addend = random(state, kRows, kHidden);
  run(state, [&] {
    const at::Tensor leaf = x.detach().requires_grad_();
    const Residual r = add_and_normalize(leaf, addend, weights, NormKind::kLayerNorm, 1e-5);
    (r.sum + r.normalized).backward(x);
    return leaf.grad();
  });
}

class Tap : public NeuronHook {
 public:
  bool wants_tap(Site site, std::int64_t) const override { return site == Site::kAct; }
};

// A feed-forward layer of few inputs and outputs: its activation is what takes the time.
void activation(benchmark::State& state) {
  constexpr std::int64_t kFew = 8;
  LayerWeights weights;
  FeedForwardWeights& ffn = weights.experts.emplace_back();
  ffn.up.weight = random(state, kWidth, kFew);
  ffn.down.weight = random(state, kFew, kWidth);
  ModelConfig config;
  config.ffn_width = kWidth;
  config.activation = Activation::kGeluTanh;
  const at::Tensor x = random(state, kRows, kFew), g = random(state, kRows, kFew);
  const auto plan = std::make_shared<BatchPlan>();
  Tap hook;
  run(state, [&] {
    const at::Tensor leaf = x.detach().requires_grad_();
    feed_forward(leaf, {weights, config, 0, plan, false, hook}).backward(g);
    return leaf.grad();
  });
}

void relevance(benchmark::State& state) {
  const at::Tensor a = random(state, kRows, kWidth), g = random(state, kRows, kWidth);
  std::vector<RowSpan> spans;
  for (int i = 0; i < kTexts; ++i) spans.push_back({i * kTokens, (i + 1) * kTokens, i});
  Relevance sums({{Site::kAct, {1, kWidth}}}, Sums::kAll);
  run(state, [&] {
    sums.add_products({Site::kAct, 0}, g, a, spans);
    return 0;
  });
}

void attention(benchmark::State& state) {
  ModelConfig config;
  config.layers = 1;
  config.each_layer.resize(1);
  config.hidden = kHidden;
  config.heads = config.kv_heads = kHeads;
  config.head_dim = kHidden / kHeads;
  config.attention_scale = 0.125;
  config.vocabulary = 8;
  config.max_positions = kTokens;
  config.qkv = QkvOrder::kStacked;
  config.position = PositionKind::kLearned;
  Batch batch;
  for (std::int64_t t = 0; t < kTexts; ++t) {
    Segment& segment = batch.segments.emplace_back();
    segment.begin = t * kTokens;
    segment.end = segment.begin + kTokens;
    for (std::int64_t i = 0; i < kTokens; ++i) {
      batch.ids.push_back(0);
      batch.positions.push_back(i);
    }
  }
  kernels::enable(state.range(1) != 0);
  const BatchPlanPtr plan =
      make_plan(batch, std::make_shared<const ModelConfig>(config), {type_of(state), at::kCPU});
  const at::Tensor qkv = random(state, kRows, 3 * kHidden), g = random(state, kRows, kHidden);
  run(state, [&] {
    AttentionInput input(config);
    const at::Tensor leaf = qkv.detach().requires_grad_();
    input.projections = {leaf};
    packed_attention(input, plan).backward(g);
    return leaf.grad();
  });
}

void cross_entropy(benchmark::State& state) {
  Linear head{random(state, kVocabulary, 8), {}};
  const LogitShape logits;
  Batch batch;
  Segment& segment = batch.segments.emplace_back();
  segment.end = segment.logit_rows = kTokens;
  batch.ids.assign(kTokens, 0);
  for (std::int64_t i = 0; i < kTokens; ++i) batch.targets.push_back({i, i, 0, 1});
  batch.sequences = 1;
  const at::Tensor features = random(state, kTokens, 8);
  run(state, [&] {
    const at::Tensor leaf = features.detach().requires_grad_();
    target_loss(leaf, head, logits, batch).total.backward();
    return leaf.grad();
  });
}

void product_plain(benchmark::State& state) {
  const at::Tensor w = random(state, kWidth, kHidden), x = random(state, kRows, kHidden);
  for (auto _ : state) benchmark::DoNotOptimize(at::mm(x, w.t()));
  state.counters["GFLOP/s"] = benchmark::Counter(2e-9 * kRows * kWidth * kHidden,
                                                 benchmark::Counter::kIsIterationInvariantRate);
}
void product_own(benchmark::State& state) {
  Linear w{random(state, kWidth, kHidden), {}};
  if (state.range(1) != 0) w.packed = std::make_shared<PackedWeights>();
  const at::Tensor x = random(state, kRows, kHidden);
  for (auto _ : state) benchmark::DoNotOptimize(product(x, w));
  state.counters["GFLOP/s"] = benchmark::Counter(2e-9 * kRows * kWidth * kHidden,
                                                 benchmark::Counter::kIsIterationInvariantRate);
}

void both(benchmark::internal::Benchmark* b) {
  b->ArgNames({"bf16", "loops"})->ArgsProduct({{0, 1}, {0, 1}})->UseRealTime();
  b->Unit(benchmark::kMillisecond);
}
BENCHMARK(norm)->Apply(both);
BENCHMARK(activation)->Apply(both);
BENCHMARK(relevance)->Apply(both);
BENCHMARK(attention)->Apply(both);
BENCHMARK(cross_entropy)->Apply(both);
BENCHMARK(product_plain)
    ->ArgNames({"bf16"})
    ->Arg(0)
    ->Arg(1)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);
BENCHMARK(product_own)
    ->ArgNames({"bf16", "packed"})
    ->ArgsProduct({{0, 1}, {0, 1}})
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace

int main(int argc, char** argv) {
  set_threads(0);
  use_tensor_pool();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
