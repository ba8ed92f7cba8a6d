#include <ATen/Parallel.h>

#include "base/file.h"
#include "base/json.h"
#include "support/support.h"
#include "support/task_on_model.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/statistics.h"
#include "taskneuron/evaluate/evaluation.h"
#include "taskneuron/neuron/scorer.h"
#include "taskneuron/neuron/selection.h"

namespace taskneuron {
namespace {

namespace fs = std::filesystem;

using test::end_to_end;
using test::TaskOnModel;

TaskOnModel mini(std::int64_t limit, at::ScalarType dtype = at::kFloat) {
  return TaskOnModel(test::examples() / "models/mini", test::examples() / "tasks/scitail", "train",
                     limit, dtype);
}

class EndToEnd : public ::testing::TestWithParam<std::string> {};

TEST_P(EndToEnd, AgreesWithTransformers) {
  const fs::path folder = test::fixtures() / "end_to_end" / GetParam();
  const Json golden = read_json(folder / "golden.json");
  const SafetensorsFile relevance(folder / "golden.safetensors");
  const TaskOnModel train = end_to_end(GetParam());
  const Scores scores = train.score({});
  EXPECT_CLOSE(scores.relevance(Site::kAct, Aggregate::kExample), relevance.tensor("relevance.act"),
               1e-4);
  EXPECT_CLOSE(scores.relevance(Site::kAct, Aggregate::kToken),
               relevance.tensor("relevance_token.act"), 1e-4);
  EXPECT_CLOSE(scores.relevance(Site::kAct, Aggregate::kDataset),
               relevance.tensor("relevance_dataset.act"), 1e-4);

  const NeuronSet top = select_top(site_relevance(scores, {}, Aggregate::kExample),
                                   golden["top_percent"].get<double>(), Scope::kGlobal);
  OutputJson units = OutputJson::array();
  for (std::size_t l = 0; l < top.sites.at(Site::kAct).units.size(); ++l) {
    for (const std::int64_t unit : top.sites.at(Site::kAct).units[l]) units.push_back({l, unit});
  }
  EXPECT_EQ(units.dump(), golden["top_units"].dump());

  const TaskOnModel test_split = end_to_end(GetParam(), "test");
  const auto check = [&](NeuronHook& hook, const std::string& prefix) {
    const TaskResult result = test_split.evaluate(hook);
    EXPECT_NEAR(result.value, golden[prefix + "test_accuracy"].get<double>(), 1e-9);
    EXPECT_NEAR(result.loss / golden[prefix + "test_loss_mean"].get<double>(), 1, 1e-4);
    for (const Prediction& prediction : result.predictions) {
      const auto row = static_cast<std::size_t>(prediction.index);
      const auto label = golden[prefix + "test_predictions"][row].get<std::size_t>();
      EXPECT_EQ(prediction.prediction, test_split.rows[row].labels[label]);
    }
    EXPECT_NEAR(test_split.evaluate(hook, Scoring::kLoss).loss / result.loss, 1, 1e-5);
  };
  NeuronHook none;
  check(none, "");
  SetHook off(top, 0);
  check(off, "ablated_");
  EXPECT_NEAR(train.evaluate(none).loss / golden["train_loss_mean"].get<double>(), 1, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(Families, EndToEnd, ::testing::Values("llama", "gpt2", "bloom"),
                         [](const auto& family) { return family.param; });

void expect_same_sums(const Scores& a, const Scores& b, double tolerance) {
  for (const auto& [site, sums] : b.sites) {
    EXPECT_CLOSE(a.sites.at(site).signed_sum, sums.signed_sum, tolerance);
    EXPECT_CLOSE(a.sites.at(site).example_abs_sum, sums.example_abs_sum, tolerance);
    EXPECT_CLOSE(a.sites.at(site).token_abs_sum, sums.token_abs_sum, tolerance);
    EXPECT_CLOSE(a.sites.at(site).example_sq_sum, sums.example_sq_sum, tolerance);
  }
  EXPECT_EQ(a.examples, b.examples);
  EXPECT_EQ(a.tokens, b.tokens);
}

TEST(Scores, DoNotDependOnBatchingOrderOrThreads) {
  TaskOnModel setup = mini(16);
  ScoreOptions options;
  options.sites = {Site::kAct, Site::kOut};
  options.limits = {1, 0};
  const Scores one_by_one = setup.score(options);
  for (const std::int64_t batch : {3, 16}) {
    options.limits = {batch, 0};
    expect_same_sums(setup.score(options), one_by_one, 1e-5);
  }
  const int threads = at::get_num_threads();
  at::set_num_threads(threads == 1 ? 2 : 1);
  expect_same_sums(setup.score(options), one_by_one, 1e-5);
  at::set_num_threads(threads);
  std::reverse(setup.examples.begin(), setup.examples.end());
  expect_same_sums(setup.score(options), one_by_one, 1e-5);
}

TEST(Scores, DoNotDependOnTheMemoryGiven) {
  const TaskOnModel task = mini(8);
  const Scores plain = task.score({});
  ScoreOptions options;
  options.recompute = true;
  const Scores recomputed = task.score(options);
  EXPECT_CLOSE(recomputed.relevance(Site::kAct, Aggregate::kExample),
               plain.relevance(Site::kAct, Aggregate::kExample), 1e-6);
}

TEST(BatchMemory, ShrinksBatchesThenRecomputesThenSaysWhatIsNeeded) {
  const TaskOnModel task = mini(16);
  const BatchDemand demand = score_demand(task.examples, {});
  const auto fit = [&](std::int64_t budget) {
    return fit_batches(task.checkpoint, task.decoder.options(), demand, {0, 4096}, budget);
  };
  const BatchMemory all = fit(1LL << 40);
  EXPECT_EQ(all.limits.max_tokens, 4096);
  EXPECT_FALSE(all.recompute);
  EXPECT_EQ(all.limits.workers, at::get_num_threads());
  // Sixteen short examples: between the least and the most there are fewer passes at a time first,
  // then smaller batches.
  BatchMemory one = all;
  while (one.limits.workers > 1) one = fit(one.predicted - 1);
  EXPECT_EQ(one.limits.max_tokens, 4096);
  const BatchMemory less = fit(one.predicted - 1);
  EXPECT_LT(less.limits.max_tokens, 4096);
  EXPECT_FALSE(less.recompute);
  EXPECT_LT(less.predicted, one.predicted);
  bool recomputed = false;
  std::string message;
  for (std::int64_t budget = less.predicted; message.empty(); budget -= 64 << 10) {
    try {
      const BatchMemory plan = fit(budget);
      EXPECT_LE(plan.predicted, budget);
      recomputed = recomputed || plan.recompute;
    } catch (const Error& error) {
      message = error.what();
    }
  }
  EXPECT_TRUE(recomputed);
  EXPECT_NE(message.find("the longest example"), std::string::npos);
  EXPECT_NE(message.find("alone needs"), std::string::npos);
}

TEST(Scores, ShardsAddUpToOneRun) {
  TaskOnModel setup = mini(12);
  const Scores whole = setup.score({});
  const std::vector<AnswerExample> all = setup.examples;
  setup.examples.assign(all.begin(), all.begin() + 5);
  Scores merged = setup.score({});
  setup.examples.assign(all.begin() + 5, all.end());
  const test::TemporaryFolder folder;
  save_scores(setup.score({}), folder / "b.safetensors");
  const Scores second = load_scores(folder / "b.safetensors");
  EXPECT_EQ(second.sums_hash(), load_scores(folder / "b.safetensors").sums_hash());
  EXPECT_NE(second.sums_hash(), merged.sums_hash());
  merged.merge(second, "b");
  expect_same_sums(merged, whole, 1e-6);
  EXPECT_CLOSE(merged.standard_error(Site::kAct), whole.standard_error(Site::kAct), 1e-6);
}

TEST(Scores, StandardErrorIsThatOfTheExamples) {
  TaskOnModel setup = mini(6);
  const Scores whole = setup.score({});
  std::vector<double> values;
  for (const AnswerExample& example : std::vector<AnswerExample>(setup.examples)) {
    setup.examples = {example};
    values.push_back(setup.score({}).relevance(Site::kAct)[3][7].item<double>());
  }
  EXPECT_NEAR(whole.relevance(Site::kAct)[3][7].item<double>() / mean(values), 1, 1e-5);
  EXPECT_NEAR(whole.standard_error(Site::kAct)[3][7].item<double>() / standard_error(values), 1,
              1e-4);
}

TEST(Scores, SharedPrefixIsExactForTheDatasetAggregate) {
  const TaskOnModel setup = mini(12);
  const at::Tensor expected = setup.score({}).relevance(Site::kAct, Aggregate::kDataset);
  ScoreOptions options;
  options.aggregate = Aggregate::kDataset;
  const Scores shared = setup.score(options);
  EXPECT_CLOSE(shared.relevance(Site::kAct), expected, 1e-5);
  EXPECT_NE(test::error_of([&] {
              shared.relevance(Site::kAct, Aggregate::kExample);
            }).find("without the sums of aggregate example"),
            std::string::npos);
}

// Sums only the rows after the shared prefix, of examples that run whole.
class OwnRowsHook : public NeuronHook {
 public:
  OwnRowsHook(std::int64_t prefix, std::int64_t layers) : prefix_(prefix), layers_(layers) {}
  bool wants_tap(Site site, std::int64_t) const override { return site == Site::kAct; }
  void tap(const SiteView& view) override {
    if (!total.defined()) total = at::zeros({layers_, view.activation.size(1)}, at::kDouble);
    const at::Tensor product = view.activation * view.gradient;
    for (const RowSpan& span : *view.spans) {
      const std::int64_t rows = span.end - span.begin;
      const std::int64_t skipped = view.layer + 1 < layers_ ? prefix_ : 0;
      total[view.layer] +=
          product.narrow(0, span.begin + skipped, rows - skipped).sum(0).abs().to(at::kDouble);
    }
  }
  at::Tensor total;

 private:
  std::int64_t prefix_, layers_;
};

TEST(Scores, OwnPositionsLeaveOutThePrefixAlone) {
  const TaskOnModel setup = mini(10);
  const std::int64_t prefix = shared_prefix_tokens(setup.examples);
  ASSERT_GT(prefix, 20);
  std::vector<const AnswerExample*> all;
  for (const AnswerExample& example : setup.examples) all.push_back(&example);
  const Batch batch = answer_batch(all);
  OwnRowsHook hook(prefix, setup.decoder.config().layers);
  setup.decoder.target_loss(setup.decoder.features(batch, hook), batch).backward();
  ScoreOptions options;
  options.positions = Positions::kOwn;
  EXPECT_CLOSE(setup.score(options).relevance(Site::kAct), hook.total / 10, 1e-5);
}

TEST(Scores, UpEqualsActForGatedAndReluModels) {
  ScoreOptions options;
  options.sites = {Site::kAct, Site::kUp};
  const Scores gated = end_to_end("llama").score(options);
  EXPECT_CLOSE(gated.relevance(Site::kUp), gated.relevance(Site::kAct), 1e-5);
  const Scores gelu = end_to_end("gpt2").score(options);
  EXPECT_GT(test::relative_error(gelu.relevance(Site::kUp), gelu.relevance(Site::kAct)), 1e-2);
}

TEST(Scores, Bfloat16RanksAsFloat32) {
  const at::Tensor narrow = mini(40, at::kBFloat16).score({}).relevance(Site::kAct);
  const at::Tensor wide = mini(40).score({}).relevance(Site::kAct);
  const auto list = [](const at::Tensor& t) {
    const at::Tensor flat = t.contiguous();
    return std::vector<double>(flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel());
  };
  EXPECT_GE(spearman(list(narrow), list(wide)), 0.99);
}

// The loss of the examples with one layer's ω scaled.
double loss_with_layer_scaled(const TaskOnModel& setup, std::int64_t layer, double factor) {
  NeuronSet set;
  auto& units = set.sites[Site::kAct];
  units.width = setup.decoder.config().ffn_width;
  units.units.resize(static_cast<std::size_t>(setup.decoder.config().layers));
  for (std::int64_t j = 0; j < units.width; ++j) {
    units.units[static_cast<std::size_t>(layer)].push_back(j);
  }
  SetHook hook(set, factor);
  return setup.evaluate(hook, Scoring::kLoss).loss;
}

TEST(IntegratedGradients, AddUpToTheLossChange) {
  const TaskOnModel setup = end_to_end("gpt2");
  ScoreOptions options;
  options.method = "integrated-gradients";
  options.integration_steps = 128;
  const Scores scores = setup.score(options);
  for (std::int64_t l = 0; l < 3; ++l) {
    const double sum = scores.sites.at(Site::kAct).signed_sum[l].sum().item<double>() /
                       static_cast<double>(scores.examples);
    const double change = loss_with_layer_scaled(setup, l, 1) - loss_with_layer_scaled(setup, l, 0);
    EXPECT_NEAR(sum, change, 5e-5) << "layer " << l;
  }
}

TEST(Ablation, IsTheTrueLossChange) {
  const TaskOnModel setup = end_to_end("llama");
  ScoreOptions options;
  options.method = "ablation";
  options.aggregate = Aggregate::kDataset;
  const Scores scores = setup.score(options);
  NeuronHook none;
  const double intact = setup.evaluate(none, Scoring::kLoss).loss;
  for (const NeuronId id : {NeuronId{0, 3}, NeuronId{1, 60}, NeuronId{2, 63}}) {
    NeuronSet set;
    set.sites[Site::kAct] = {88, {{}, {}, {}}};
    set.sites[Site::kAct].units[static_cast<std::size_t>(id.layer)] = {id.unit};
    SetHook hook(set, 0);
    const double change = setup.evaluate(hook, Scoring::kLoss).loss - intact;
    EXPECT_NEAR(scores.sites.at(Site::kAct).signed_sum[id.layer][id.unit].item<double>() /
                    static_cast<double>(scores.examples),
                change, 1e-5);
  }
}

TEST(ObservedScores, AreMeansOverPositions) {
  const TaskOnModel setup = end_to_end("llama");
  ScoreOptions options;
  options.aggregate = Aggregate::kToken;
  options.method = "frequency";
  const at::Tensor frequency = setup.score(options).relevance(Site::kAct);
  EXPECT_GE(frequency.min().item<double>(), 0);
  EXPECT_LE(frequency.max().item<double>(), 1);
  EXPECT_NEAR(frequency.mean().item<double>(), 0.5, 0.2);
  options.method = "activation";
  EXPECT_GT(setup.score(options).relevance(Site::kAct).min().item<double>(), 0);
  options.method = "gradient";
  EXPECT_GT(setup.score(options).relevance(Site::kAct).min().item<double>(), 0);
  options.aggregate = Aggregate::kExample;
  EXPECT_NE(test::error_of([&] { setup.score(options); }).find("means nothing for method"),
            std::string::npos);
}

TEST(ScoreFiles, AreRefusedWhenTheyDoNotFit) {
  const test::TemporaryFolder folder;
  const Scores scores = end_to_end("llama").score({});
  save_scores(scores, folder / "a.safetensors");
  Scores other = end_to_end("gpt2").score({});
  EXPECT_NE(test::error_of([&] {
              other.merge(load_scores(folder / "a.safetensors"), "a");
            }).find("a: cannot be added: its shape at site act differs"),
            std::string::npos);
  Scores changed = scores;
  changed.info.method = "gradient";
  EXPECT_NE(test::error_of([&] { changed.merge(scores, "a"); }).find("its method is 'taylor'"),
            std::string::npos);
  EXPECT_NE(test::error_of([&] {
              load_scores(test::fixtures() / "end_to_end/llama/model/model.safetensors");
            }).find("not a score file"),
            std::string::npos);
  changed = scores;
  changed.info.task = "";
  save_scores(changed, folder / "b.safetensors");
  EXPECT_NE(test::error_of([&] { load_scores(folder / "b.safetensors"); }).find("does not say"),
            std::string::npos);
  changed = scores;
  changed.sites.at(Site::kAct).signed_sum =
      at::full_like(scores.sites.at(Site::kAct).signed_sum, 1e308);
  Scores twice = changed;
  EXPECT_NE(test::error_of([&] { twice.merge(changed, "a"); }).find("would not be finite"),
            std::string::npos);
}

TEST(NonFiniteWeights, AreNamed) {
  const test::TemporaryFolder folder;
  const fs::path source = test::fixtures() / "end_to_end/llama";
  const std::string name = "model.layers.1.mlp.up_proj.weight";
  test::copy_damaged_model(source / "model", folder / "model", name,
                           std::numeric_limits<float>::infinity());
  const TaskOnModel setup(folder / "model", source / "task");
  EXPECT_NE(test::error_of([&] { setup.score({}); }).find("tensor '" + name + "' holds values"),
            std::string::npos);
}

}  // namespace
}  // namespace taskneuron
