// Every long function ends when its callback says so, leaves nothing behind and can be called
// again.
#include <functional>
#include <map>

#include "base/file.h"
#include "support/task_on_model.h"
#include "taskneuron/analysis/affinity.h"
#include "taskneuron/analysis/deactivation.h"
#include "taskneuron/analysis/fidelity.h"
#include "taskneuron/analysis/similarity.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/interruption.h"
#include "taskneuron/model/generation.h"
#include "taskneuron/neuron/reference_activations.h"
#include "taskneuron/train/training_run.h"

namespace taskneuron {
namespace {

namespace fs = std::filesystem;
using Numbers = std::vector<double>;

// Ends the work at one of its calls; 0: never.
class Canceller {
 public:
  explicit Canceller(std::int64_t at_call) : at_call_(at_call) {}
  void operator()() {
    if (++calls == at_call_) throw Interrupted("asked to");
  }
  std::int64_t calls = 0;

 private:
  std::int64_t at_call_;
};

// work: what is tested, calling back, and the numbers that it found.
void expect_cancels(const std::function<Numbers(Canceller&)>& work) {
  Canceller never(0);
  const Numbers undisturbed = work(never);
  ASSERT_GE(never.calls, 2);
  for (const std::int64_t call : {std::int64_t{1}, never.calls / 2 + 1, never.calls}) {
    Canceller canceller(call);
    try {
      work(canceller);
      ADD_FAILURE() << "not ended at call " << call << " of " << never.calls;
    } catch (const Interrupted& interrupted) {
      EXPECT_STREQ(interrupted.what(), "asked to");
    }
    Canceller again(0);
    EXPECT_EQ(work(again), undisturbed) << "after call " << call;
  }
}

Numbers numbers_of(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.to(at::kDouble).contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

void append(Numbers& to, const Numbers& from) { to.insert(to.end(), from.begin(), from.end()); }

Numbers numbers_of(const TaskResult& result) {
  Numbers numbers = {result.value, result.loss};
  for (const Prediction& prediction : result.predictions) {
    append(numbers, {prediction.score, prediction.loss});
  }
  return numbers;
}

// One example to a pass, two passes at a time where there are two processors.
BatchLimits small_passes() {
  BatchLimits limits;
  limits.max_examples = 1;
  limits.workers = 2;
  return limits;
}

class Cancellation : public ::testing::Test {
 protected:
  static const test::TaskOnModel& fixture() {
    static const test::TaskOnModel the = test::end_to_end("llama");
    return the;
  }
  static std::vector<AnswerExample> few_examples(std::ptrdiff_t count = 4) {
    return {fixture().examples.begin(), fixture().examples.begin() + count};
  }
  static NeuronSet every_other_unit() {
    NeuronSet set;
    const SiteShape shape = site_shape(fixture().checkpoint.config(), Site::kAct);
    set.sites[Site::kAct].width = shape.width;
    for (std::int64_t l = 0; l < shape.layers; ++l) {
      auto& units = set.sites[Site::kAct].units.emplace_back();
      for (std::int64_t unit = 0; unit < shape.width; unit += 2) units.push_back(unit);
    }
    return set;
  }
};

class ScorerCancellation : public Cancellation,
                           public ::testing::WithParamInterface<std::string> {};

TEST_P(ScorerCancellation, EndsAndRunsAgain) {
  ScoreOptions options;
  options.method = GetParam();
  options.aggregate = default_aggregate(options.method);
  options.integration_steps = 2;
  options.limits = small_passes();
  const auto examples = few_examples(options.method == "ablation" ? 2 : 4);
  expect_cancels([&](Canceller& cancel) {
    const Scores scores = score_units(fixture().checkpoint, fixture().decoder, examples, options,
                                      [&](double, std::int64_t) { cancel(); });
    return numbers_of(scores.relevance(Site::kAct, options.aggregate));
  });
}
INSTANTIATE_TEST_SUITE_P(Methods, ScorerCancellation, ::testing::ValuesIn(score_methods()),
                         [](const auto& of) {
                           std::string name = of.param;
                           for (char& c : name) c = c == '-' ? '_' : c;
                           return name;
                         });

TEST_F(Cancellation, OfEvaluations) {
  for (const Scoring scoring :
       {Scoring::kRank, Scoring::kRankNorm, Scoring::kGenerate, Scoring::kLoss}) {
    const TaskEvaluation evaluation(fixture().task, "test", fixture().rows, fixture().encoder,
                                    {scoring, StopRule::kBlankLine, 6});
    NeuronHook none;
    expect_cancels([&](Canceller& cancel) {
      return numbers_of(evaluation.run(fixture().decoder, none, small_passes(),
                                       [&](std::int64_t, std::int64_t) { cancel(); }));
    });
  }
}

// A long text can be cut short, not only ended once it is there.
TEST_F(Cancellation, OfGenerationAtEveryToken) {
  GenerationOptions options;
  options.max_new_tokens = 12;
  options.end_of_sequence = -1;
  NeuronHook none;
  const std::vector<std::vector<std::int64_t>> prompts = {fixture().examples[0].ids,
                                                          fixture().examples[1].ids};
  expect_cancels([&](Canceller& cancel) {
    options.progress = [&](std::int64_t) { cancel(); };
    Numbers numbers;
    for (const auto& ids : generate(fixture().decoder, none, prompts, options)) {
      numbers.insert(numbers.end(), ids.begin(), ids.end());
    }
    EXPECT_EQ(cancel.calls, options.max_new_tokens);
    return numbers;
  });
}

TEST_F(Cancellation, OfPerplexity) {
  std::vector<std::int64_t> ids;
  for (const AnswerExample& example : few_examples()) {
    ids.insert(ids.end(), example.ids.begin(), example.ids.end());
  }
  NeuronHook none;
  expect_cancels([&](Canceller& cancel) {
    const PerplexityResult result =
        evaluate_perplexity(fixture().decoder, none, text_windows(ids, {}, 20), small_passes(),
                            [&](std::int64_t, std::int64_t) { cancel(); });
    return Numbers{result.perplexity, result.standard_error};
  });
}

TEST_F(Cancellation, OfDeactivationInEveryMode) {
  std::vector<TaskSets> sets(1);
  sets[0].task = "a";
  sets[0].own = every_other_unit();
  sets[0].random[RandomKind::kMatched] = {
      random_set(sets[0].own, {RandomKind::kMatched, "a", 0, 0}),
      random_set(sets[0].own, {RandomKind::kMatched, "a", 0, 1})};
  const TaskEvaluation evaluation(fixture().task, "test", fixture().rows, fixture().encoder, {});
  for (const char* mode : {"activation", "parameter"}) {
    const std::vector<Condition> conditions = {{"50%", "layer", mode, parse_mode(mode), &sets}};
    expect_cancels([&](Canceller& cancel) {
      DeactivationOptions options;
      options.limits = small_passes();
      options.progress = [&](std::int64_t, std::int64_t) { cancel(); };
      const DeactivatedTask task =
          deactivate(fixture().decoder, evaluation, "a", conditions, options);
      Numbers numbers = task.original.losses;
      append(numbers, task.own_off(0).losses);
      const auto& random = task.conditions[0].random.at(RandomKind::kMatched);
      for (const Measurement& row : random.by_draw) append(numbers, row.losses);
      return numbers;
    });
  }
}

TEST_F(Cancellation, OfReferenceActivations) {
  std::vector<std::vector<std::int64_t>> texts;
  for (const AnswerExample& example : few_examples()) texts.push_back(example.ids);
  ReferenceOptions options;
  options.sites = {Site::kAct};
  options.limits = small_passes();
  expect_cancels([&](Canceller& cancel) {
    const ReferenceActivations found(fixture().decoder, texts, options,
                                     [&](std::int64_t) { cancel(); });
    Numbers numbers = numbers_of(found.mean(Site::kAct, 1));
    append(numbers, numbers_of(found.samples(Site::kAct, 1)));
    return numbers;
  });
}

FidelityOptions small_audit() {
  FidelityOptions options;
  options.units = 12;
  options.examples = 4;
  options.shards = 4;
  options.orders = 2;
  options.scoring.limits = small_passes();
  return options;
}

TEST_F(Cancellation, OfTheFidelityAudit) {
  double shares = 0;
  expect_cancels([&](Canceller& cancel) {
    shares = 0;
    const LossAudit audit = audit_loss(fixture().checkpoint, fixture().decoder, few_examples(),
                                       small_audit(), [&](double share, std::int64_t) {
                                         shares += share;
                                         cancel();
                                       });
    Numbers numbers = {audit.loss, audit.pearson, audit.sets.back().change};
    for (const UnitAudit& unit : audit.units) numbers.push_back(unit.change);
    return numbers;
  });
  EXPECT_NEAR(shares, 1, 1e-9);
}

TEST_F(Cancellation, OfStability) {
  expect_cancels([&](Canceller& cancel) {
    const Stability stability =
        audit_stability(fixture().checkpoint, fixture().decoder, few_examples(), small_audit(),
                        [&](double, std::int64_t) { cancel(); });
    Numbers numbers = {stability.half_jaccard, stability.half_spearman};
    for (const StabilityPoint& point : stability.curve) numbers.push_back(point.with_all);
    return numbers;
  });
}

TEST_F(Cancellation, OfSimilarity) {
  const Checkpoint& checkpoint = fixture().checkpoint;
  expect_cancels([&](Canceller& cancel) {
    const auto found = unit_similarity({checkpoint,
                                        checkpoint,
                                        {{every_other_unit(), {}}},
                                        {{every_other_unit(), {}}},
                                        {SimilarityDefinition::kMasked},
                                        [&](std::int64_t) { cancel(); }});
    Numbers numbers;
    for (const auto& value : found[0].masked->layers) numbers.push_back(value.value());
    return numbers;
  });
}

TEST_F(Cancellation, OfGradientAgreement) {
  const std::vector<AnswerExample> examples = few_examples();
  const std::vector<GradientTask> tasks = {{"a", {examples[0]}, every_other_unit()},
                                           {"b", {examples[1]}, every_other_unit()}};
  expect_cancels([&](Canceller& cancel) {
    GradientOptions options;
    options.passes.limits = small_passes();
    options.progress = [&](double) { cancel(); };
    const GradientAgreement found =
        gradient_agreement(fixture().checkpoint, fixture().decoder, tasks, options);
    return Numbers{found.losses[0], found.all[0][1].all.value(), found.own[1][0].all.value()};
  });
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  if (!fs::exists(folder)) return names;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  return names;
}

TEST_F(Cancellation, OfAModelThatIsWrittenLeavesNoFolder) {
  const test::TemporaryFolder folder;
  std::string whole;
  int run = 0;
  expect_cancels([&](Canceller& cancel) {
    const fs::path out = folder / ("above" + std::to_string(run++)) / "model";
    SaveOptions options;
    options.dtype = at::kBFloat16;
    options.progress = [&](std::int64_t) { cancel(); };
    try {
      save_model(fixture().checkpoint, out, options);
    } catch (const Interrupted&) {
      EXPECT_FALSE(fs::exists(out.parent_path())) << names_in(folder.path()).size();
      throw;
    }
    const std::string written = read_file(out / "model.safetensors");
    if (whole.empty()) whole = written;
    EXPECT_TRUE(written == whole);
    return Numbers{};
  });
}

// ---- training ----

class TrainingCancellation : public Cancellation {
 protected:
  TrainingCancellation() : folder_(), validation_() {
    const fs::path task = test::fixtures() / "end_to_end/llama/task";
    validation_.emplace_back(load_task(task), "test", load_split(load_task(task), "test"),
                             fixture().encoder, EvaluationOptions{Scoring::kLoss, {}, 0});
  }

  // A model and its trainer, as a session has them.
  struct Session {
    TrainableModel model;
    Trainer trainer;
    explicit Session(const NeuronSet& set)
        : model(make_trainable(fixture().checkpoint, fixture().decoder, units(set))),
          trainer(model, {{"task", fixture().examples, {}}}, options()) {}
    static TrainableOptions units(const NeuronSet& set) {
      TrainableOptions options;
      options.units[Site::kAct] = set.sites.at(Site::kAct).units;
      return options;
    }
    static TrainerOptions options() {
      TrainerOptions options;
      options.schedule.learning_rate = 0.005;
      options.schedule.steps = 4;
      options.sampling.batch = 2;
      return options;
    }
  };

  TrainingRunOptions options(const std::string& out, bool resume) const {
    TrainingRunOptions options;
    options.out = folder_ / out;
    options.resume = resume;
    options.save = save_;
    options.evaluate_every = 2;
    options.patience = 3;
    options.validation = &validation_;
    options.validation_limits = small_passes();
    return options;
  }

  TrainingRunResult run(Session& session, const TrainingRunOptions& options, Canceller& cancel) {
    const TrainingFolder made(options);
    return run_training(fixture().checkpoint, session.model, session.trainer, options,
                        [&](const TrainingProgress&) { cancel(); });
  }

  // The trained numbers that a finished run wrote.
  std::string trained(const std::string& out) const {
    return read_file(folder_ / out /
                     (save_ == SaveAs::kModel ? "model.safetensors" : "delta.safetensors"));
  }

  // Cancels at every call of the callback, and resumes with the same objects or with new ones.
  void cancel_everywhere() {
    Canceller never(0);
    Session whole(every_other_unit());
    run(whole, options("whole", false), never);
    const std::string expected = trained("whole");
    ASSERT_GT(never.calls, 10);
    for (std::int64_t call = 1; call <= never.calls; ++call) {
      const std::string out = "run" + std::to_string(call);
      Session session(every_other_unit());
      Canceller canceller(call);
      const std::string message =
          test::error_of([&] { run(session, options(out, false), canceller); });
      EXPECT_EQ(message.rfind("interrupted at step ", 0), 0u) << message;
      for (const std::string& name : names_in(folder_ / out)) {
        EXPECT_EQ(name.find(".tmp"), std::string::npos) << name;
      }
      Canceller again(0);
      Session fresh(every_other_unit());
      run(call % 2 == 0 ? session : fresh, options(out, true), again);
      EXPECT_TRUE(trained(out) == expected) << "ended at call " << call << " of " << never.calls;
    }
  }

  test::TemporaryFolder folder_;
  std::vector<TaskEvaluation> validation_;
  SaveAs save_ = SaveAs::kDelta;
};

TEST_F(TrainingCancellation, GoesOnToTheSameDelta) { cancel_everywhere(); }

TEST_F(TrainingCancellation, GoesOnToTheSameModel) {
  save_ = SaveAs::kModel;
  cancel_everywhere();
}

}  // namespace
}  // namespace taskneuron
