#include "taskneuron/train/trainer.h"

#include "base/json.h"
#include "base/torch_compat.h"
#include "model/kernels/dispatch.h"
#include "support/support.h"
#include "support/task_on_model.h"
#include "taskneuron/base/error.h"
#include "taskneuron/neuron/selection.h"
#include "taskneuron/train/certificate.h"
#include "taskneuron/train/delta.h"

namespace taskneuron {
namespace {

namespace fs = std::filesystem;
using test::end_to_end;
using test::TaskOnModel;

TrainableOptions units_of(const NeuronSet& set) {
  TrainableOptions options;
  options.units = set.units();
  return options;
}

TrainerOptions four_steps(std::int64_t batch) {
  TrainerOptions options;
  options.schedule.learning_rate = 0.005;
  options.schedule.steps = 4;
  options.sampling.batch = batch;
  return options;
}

NeuronSet top_ten(const TaskOnModel& train) {
  return select_top(site_relevance(train.score({}), {}, Aggregate::kExample), 10, Scope::kGlobal);
}

class TrainingGoldens : public ::testing::TestWithParam<std::string> {};

TEST_P(TrainingGoldens, AgreesWithPyTorch) {
  const Json golden =
      read_json(test::fixtures() / "end_to_end" / GetParam() / "golden.json")["train"];
  const TaskOnModel train = end_to_end(GetParam());
  TrainableModel model = make_trainable(train.checkpoint, train.decoder, units_of(top_ten(train)));
  std::int64_t owned = 0;
  for (const ParameterPtr& parameter : model.parameters) owned += parameter->numel();
  EXPECT_EQ(owned, golden["owned_parameters"].get<std::int64_t>());
  const auto rows = static_cast<std::int64_t>(train.examples.size());
  for (const bool prefix : {false, true}) {
    TrainableModel fresh =
        make_trainable(train.checkpoint, train.decoder, units_of(top_ten(train)));
    TrainerOptions options = four_steps(rows);
    options.share_prefix = prefix;
    options.limits.max_tokens = prefix ? 100 : 100000;
    options.recompute = prefix;
    Trainer trainer(fresh, {{"task", train.examples, {}}}, options);
    for (std::int64_t step = 1; step <= 4; ++step) {
      const double wanted = golden["step_losses"][static_cast<std::size_t>(step - 1)].get<double>();
      const double loss = trainer.step(step).loss;
      EXPECT_TRUE(std::abs(loss - wanted) <= 1e-4 * wanted) << loss << " " << wanted;
    }
    const TaskOnModel test_split = end_to_end(GetParam(), "test");
    NeuronHook none;
    const TaskResult after = TaskEvaluation(test_split.task, "test", test_split.rows,
                                            test_split.encoder, {Scoring::kLoss, {}, 0})
                                 .run(fresh.decoder, none, {}, [](std::int64_t, std::int64_t) {});
    const double wanted = golden["test_loss_after"].get<double>();
    EXPECT_TRUE(std::abs(after.loss - wanted) <= 1e-3 * wanted) << after.loss << " " << wanted;

    // What was not to be trained has not moved by a bit, and the delta alone gives the same model.
    const auto weights = named_weights(fresh.decoder);
    const Certificate certificate = certify(
        train.checkpoint, trained_tensors(train.checkpoint, fresh), [&](const std::string& name) {
          const auto found = weights.find(name);
          return found == weights.end() ? at::Tensor() : found->second;
        });
    EXPECT_TRUE(certificate.holds());
    EXPECT_EQ(certificate.trained_values, owned);
    const Delta delta = make_delta(train.checkpoint, fresh);
    for (const auto& [name, tensor] : apply_deltas(train.checkpoint, {{delta, 1}})) {
      EXPECT_TRUE(at::equal(tensor, weights.at(name))) << name;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Families, TrainingGoldens, ::testing::Values("gpt2", "llama", "bloom"));

// ---- finite differences ----

// A fixture model in float64 with a batch of its examples.
struct FiniteDifferences {
  explicit FiniteDifferences(const fs::path& folder)
      : checkpoint(folder), decoder(checkpoint, {at::kDouble, at::kCPU}) {
    const std::int64_t vocabulary = checkpoint.config().vocabulary;
    std::vector<test::TokenExample> examples;
    for (std::int64_t e = 0; e < 3; ++e) {
      test::TokenExample example;
      for (std::int64_t i = 0; i < 6 + e; ++i)
        example.ids.push_back((7 * i + 3 * e + 1) % vocabulary);
      example.answer_tokens = 2;
      examples.push_back(example);
    }
    batch = test::answer_batch(examples);
  }
  double loss(const Decoder& model) const {
    const at::NoGradGuard no_gradients;
    NeuronHook none;
    return model.target_loss(model.features(batch, none), batch).item<double>();
  }
  // For every parameter, the slope along a fixed direction against the gradient's.
  void check(const TrainableOptions& options) const {
    TrainableModel model = make_trainable(checkpoint, decoder, options);
    at::manual_seed(3);
    for (const ParameterPtr& parameter : model.parameters) {
      // So that adapters, whose B starts at zero, are at a general place.
      parameter->master.add_(at::randn(parameter->master.sizes(), at::kDouble), 0.05);
      parameter->store();
      parameter->clear_gradient();
    }
    NeuronHook none;
    const at::Tensor total = model.decoder.target_loss(model.decoder.features(batch, none), batch);
    total.backward();
    for (const ParameterPtr& parameter : model.parameters) {
      const at::Tensor direction = at::randn(parameter->master.sizes(), at::kDouble);
      const double slope = (parameter->gradient * direction).sum().item<double>();
      constexpr double kStep = 1e-6;
      const at::Tensor start = parameter->master.clone();
      parameter->master.copy_(start + kStep * direction);
      parameter->store();
      const double above = loss(model.decoder);
      parameter->master.copy_(start - kStep * direction);
      parameter->store();
      const double below = loss(model.decoder);
      parameter->master.copy_(start);
      parameter->store();
      const double measured = (above - below) / (2 * kStep);
      EXPECT_TRUE(std::abs(slope - measured) <= 1e-6 * std::max(1.0, std::abs(measured)))
          << parameter->tensor << " axis " << parameter->axis << ": " << slope << " " << measured;
    }
  }
  Checkpoint checkpoint;
  Decoder decoder;
  Batch batch;
};

TrainableOptions some_units(const ModelConfig& config, const std::vector<Site>& sites) {
  TrainableOptions options;
  for (const Site site : sites) {
    const SiteShape shape = site_shape(config, site);
    for (std::int64_t l = 0; l < shape.layers; ++l) {
      std::vector<std::int64_t> units;
      for (std::int64_t j = l; j < shape.width; j += 3) units.push_back(j);
      if (l == 0) units.clear();  // the first layer trains nothing
      options.units[site].push_back(units);
    }
  }
  return options;
}

class TrainedWeights : public ::testing::TestWithParam<std::tuple<std::string, bool>> {};

TEST_P(TrainedWeights, GradientsAgreeWithFiniteDifferences) {
  const auto& [family, loops] = GetParam();
  kernels::enable(loops);
  const FiniteDifferences setup(test::fixtures() / "hf_parity" / family);
  const ModelConfig& config = setup.checkpoint.config();
  setup.check(some_units(config, {Site::kAct}));
  setup.check(some_units(config, {Site::kUp}));
  setup.check(some_units(config, {Site::kOut}));
  setup.check(some_units(config, {Site::kAct, Site::kOut}));
  if (config.gated) setup.check(some_units(config, {Site::kGate, Site::kUp}));
  TrainableOptions options;
  options.part = TrainedPart::kFeedForward;
  setup.check(options);
  options.part = TrainedPart::kAll;
  setup.check(options);
  options.part = TrainedPart::kAdapters;
  options.lora.rank = 2;
  options.lora.targets = {"query", "key", "value", "attention-output", "up", "down"};
  setup.check(options);
  kernels::enable(true);
}
INSTANTIATE_TEST_SUITE_P(Families, TrainedWeights,
                         ::testing::Combine(::testing::Values("gpt2", "llama_gqa_bias", "phi3",
                                                              "bloom", "gpt_neox", "opt", "gemma",
                                                              "phi", "falcon", "gemma2", "gemma3",
                                                              "gptj", "granite", "olmo2"),
                                            ::testing::Bool()));

// ---- what a step updates ----

TEST(Trainer, EachTasksStepsUpdateItsOwnUnitsAlone) {
  const TaskOnModel train = end_to_end("llama");
  const ModelConfig& config = train.checkpoint.config();
  NeuronSet first, second, both;
  for (std::int64_t l = 0; l < config.layers; ++l) {
    first.sites[Site::kAct].units.push_back({0, 1, 2});
    second.sites[Site::kAct].units.push_back({2, 5});
    both.sites[Site::kAct].units.push_back({0, 1, 2, 5});
  }
  TrainableModel model = make_trainable(train.checkpoint, train.decoder, units_of(both));
  TrainerOptions options = four_steps(4);
  options.schedule.steps = 1;
  options.sampling.one_task_per_step = true;
  const std::vector<AnswerExample> few(train.examples.begin(), train.examples.begin() + 4);
  Trainer trainer(model, {{"a", few, units_of(first)}, {"b", few, units_of(second)}}, options);
  std::vector<at::Tensor> before;
  for (const ParameterPtr& parameter : model.parameters)
    before.push_back(parameter->master.clone());
  trainer.step(1);
  std::set<std::vector<std::int64_t>> changed;
  for (std::size_t p = 0; p < before.size(); ++p) {
    const at::Tensor moved =
        (model.parameters[p]->master != before[p]).reshape({4, -1}).any(1).nonzero().squeeze(1);
    changed.insert(std::vector<std::int64_t>(moved.data_ptr<std::int64_t>(),
                                             moved.data_ptr<std::int64_t>() + moved.numel()));
  }
  ASSERT_EQ(changed.size(), 1u);
  const std::vector<std::int64_t> positions = *changed.begin();
  EXPECT_TRUE(positions == std::vector<std::int64_t>({0, 1, 2}) ||
              positions == std::vector<std::int64_t>({2, 3}));
}

TEST(Trainer, LossThatIsNotFiniteNamesTheBatchAndChangesNothing) {
  const TaskOnModel train = end_to_end("gpt2");
  TrainableOptions all;
  all.part = TrainedPart::kAll;
  TrainableModel model = make_trainable(train.checkpoint, train.decoder, all);
  TrainerOptions options = four_steps(2);
  options.schedule.learning_rate = 1e30;
  Trainer trainer(model, {{"weather", train.examples, {}}}, options);
  trainer.step(1);
  const at::Tensor before = model.parameters[0]->master.clone();
  const std::string message = test::error_of([&] {
    trainer.step(2);
    trainer.step(3);
  });
  EXPECT_NE(message.find("weather rows"), std::string::npos) << message;
  EXPECT_NE(message.find("step 2"), std::string::npos) << message;
  EXPECT_TRUE(at::equal(before, model.parameters[0]->master));
}

TEST(Trainer, NoUnitsAreRefused) {
  const TaskOnModel train = end_to_end("gpt2");
  TrainableOptions none;
  none.units[Site::kAct].resize(static_cast<std::size_t>(train.checkpoint.config().layers));
  const std::string message =
      test::error_of([&] { make_trainable(train.checkpoint, train.decoder, none); });
  EXPECT_NE(message.find("no unit"), std::string::npos) << message;
}

// ---- schedules and sampling ----

TEST(Schedule, RisesThenFalls) {
  Schedule schedule{ScheduleKind::kLinear, 1.0, 4, 12};
  EXPECT_DOUBLE_EQ(schedule.at(1), 0.25);
  EXPECT_DOUBLE_EQ(schedule.at(4), 1);
  EXPECT_DOUBLE_EQ(schedule.at(5), 1);
  EXPECT_DOUBLE_EQ(schedule.at(9), 0.5);
  EXPECT_DOUBLE_EQ(schedule.at(12), 0.125);
  schedule.kind = ScheduleKind::kCosine;
  EXPECT_DOUBLE_EQ(schedule.at(9), 0.5);
  schedule.kind = ScheduleKind::kConstant;
  EXPECT_DOUBLE_EQ(schedule.at(12), 1);
}

TEST(Sampler, EveryRowOnceAnEpochAndTheSameForASeed) {
  for (const bool by_task : {false, true}) {
    SamplingOptions options;
    options.batch = 4;
    options.one_task_per_step = by_task;
    const Sampler sampler({10, 3, 7}, options);
    EXPECT_EQ(sampler.steps_per_epoch(), by_task ? 6 : 5);
    const auto steps = sampler.steps(sampler.steps_per_epoch() * 2);
    std::map<std::pair<std::int64_t, std::int64_t>, int> seen;
    for (const auto& step : steps) {
      for (const ExampleRef& ref : step) {
        ++seen[{ref.task, ref.row}];
        if (by_task) {
          EXPECT_EQ(ref.task, step.front().task);
        }
      }
    }
    EXPECT_EQ(seen.size(), 20u);
    for (const auto& item : seen) EXPECT_EQ(item.second, 2);
    const auto again = Sampler({10, 3, 7}, options).steps(3);
    for (std::size_t s = 0; s < 3; ++s) EXPECT_EQ(again[s].front().row, steps[s].front().row);
  }
}

TEST(Sampler, TemperatureLiesBetweenProportionalAndEqual) {
  const auto share = [](const char* mixing) {
    SamplingOptions options;
    options.batch = 10;
    parse_mixing(mixing, options);
    double first = 0;
    for (const auto& step : Sampler({900, 100}, options).steps(500)) {
      for (const ExampleRef& ref : step) first += ref.task == 0 ? 1.0 / 5000 : 0;
    }
    return first;
  };
  EXPECT_NEAR(share("proportional"), 0.9, 0.001);
  EXPECT_NEAR(share("equal"), 0.5, 0.03);
  EXPECT_NEAR(share("temperature=2"), 0.75, 0.03);  // √900 : √100
}

// ---- deltas ----

TEST(Delta, ScalesComposesAndRestores) {
  const TaskOnModel train = end_to_end("gpt2");
  TrainableModel model = make_trainable(train.checkpoint, train.decoder, units_of(top_ten(train)));
  Trainer trainer(model, {{"task", train.examples, {}}}, four_steps(8));
  trainer.step(1);
  const Delta delta = make_delta(train.checkpoint, model);
  const test::TemporaryFolder folder;
  save_delta(delta, folder / "d.safetensors");
  const Delta read = load_delta(folder / "d.safetensors", train.checkpoint);
  const auto merged = apply_deltas(train.checkpoint, {{read, 1}});
  const auto none = apply_deltas(train.checkpoint, {{read, 1}, {read, -1}});
  const auto half = apply_deltas(train.checkpoint, {{read, 0.5}});
  const auto weights = named_weights(model.decoder);
  for (const auto& [name, tensor] : merged) {
    const at::Tensor base = train.checkpoint.tensor(name);
    EXPECT_TRUE(at::equal(tensor, weights.at(name))) << name;
    EXPECT_FALSE(at::equal(tensor, base)) << name;
    EXPECT_CLOSE(none.at(name), base, 1e-7);
    EXPECT_CLOSE(half.at(name), (base + tensor) / 2, 1e-7);
  }
  const TaskOnModel other = end_to_end("llama");
  const std::string message =
      test::error_of([&] { load_delta(folder / "d.safetensors", other.checkpoint); });
  EXPECT_NE(message.find("other weights"), std::string::npos) << message;
}

}  // namespace
}  // namespace taskneuron
