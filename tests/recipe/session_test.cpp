#include "taskneuron/recipe/session.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "support/support.h"
#include "taskneuron/base/error.h"
#include "taskneuron/neuron/scores.h"
#include "taskneuron/recipe/ablate.h"
#include "taskneuron/recipe/audit.h"
#include "taskneuron/recipe/detect.h"
#include "taskneuron/recipe/evaluate.h"
#include "taskneuron/recipe/merge.h"
#include "taskneuron/recipe/select.h"
#include "taskneuron/recipe/train.h"

namespace taskneuron {
namespace {

using test::error_of;
using test::TemporaryFolder;

const std::string kModel = test::examples() / "models" / "mini";
const std::string kTask = test::examples() / "tasks" / "scitail";

ModelOptions mini() {
  ModelOptions options;
  options.model = kModel;
  return options;
}

DetectOptions detect_into(const std::string& out) {
  DetectOptions options;
  options.data.tasks = {kTask};
  options.data.limit = 8;
  options.output.out = out;
  return options;
}

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Session, ServesEveryRecipeOneAfterAnother) {
  const TemporaryFolder folder;
  const Session session(mini());
  const std::string scores = folder / "scores.safetensors", set = folder / "set.json";
  const std::vector<DetectedTask> detected = detect(session, detect_into(scores));
  ASSERT_EQ(detected.size(), 1u);
  EXPECT_EQ(detected[0].task, "scitail");
  EXPECT_EQ(detected[0].examples, 8);
  EXPECT_GT(detected[0].loss.mean, 0);

  SelectOptions selection;
  selection.scores = {scores};
  selection.output.out = set;
  ASSERT_EQ(select(selection).size(), 1u);

  EvaluateOptions evaluation;
  evaluation.data.tasks = {kTask};
  evaluation.data.limit = 6;
  evaluation.sets = {set};
  const EvaluateResult evaluated = evaluate(session, evaluation);
  ASSERT_EQ(evaluated.tasks.size(), 2u);
  EXPECT_EQ(evaluated.tasks[0].set, "");
  EXPECT_EQ(evaluated.tasks[1].set, set);

  AblateOptions ablation;
  ablation.data.tasks = {kTask};
  ablation.data.limit = 6;
  ablation.scores = {scores};
  ablation.random_seeds = 2;
  const AblateResult ablated = ablate(session, ablation);
  ASSERT_EQ(ablated.tasks.size(), 1u);
  // Two recipes, one function of the model, the set and the rows.
  EXPECT_EQ(ablated.tasks[0].original.loss, evaluated.tasks[0].result.loss);
  EXPECT_EQ(ablated.tasks[0].own_off(0).loss, evaluated.tasks[1].result.loss);

  TrainOptions training;
  training.data.tasks = {kTask};
  training.data.limit = 4;
  training.sets = {set};
  training.batch = 2;
  training.steps = 2;
  training.evaluate = "none";
  training.out = folder / "run";
  const TrainResult trained = train(session, training);
  EXPECT_EQ(trained.run.steps, 2);
  EXPECT_TRUE(trained.run.certificate.holds());

  // Training left the session as it was.
  const std::string again = folder / "again.safetensors";
  detect(session, detect_into(again));
  EXPECT_EQ(bytes_of(again), bytes_of(scores));
}

TEST(Session, ErrorsNameOptionsAsTheyAreDeclared) {
  const TemporaryFolder folder;
  const Session session(mini());
  DetectOptions options = detect_into(folder / "scores.safetensors");
  options.positions = "some";
  EXPECT_EQ(error_of([&] { detect(session, options); }),
            "`positions` 'some' is unknown; use all or own");
  options = detect_into(folder / "scores.safetensors");
  options.data.max_length = 1 << 20;
  EXPECT_NE(error_of([&] { detect(session, options); }).find("`max_length` 1048576"),
            std::string::npos);
  ModelOptions elsewhere = mini();
  elsewhere.device = "tpu";
  EXPECT_EQ(error_of([&] { Session{elsewhere}; }),
            "`device` 'tpu' is unknown; use cpu, cuda or cuda:N");
}

TEST(Session, RecipesCheckWhatTheCommandLineWould) {
  const TemporaryFolder folder;
  const Session session(mini());
  EXPECT_EQ(error_of([&] { merge({}); }), "`scores` is required");
  EXPECT_EQ(error_of([&] { detect(session, {}); }), "`task` is required");
  TrainOptions training;
  training.data.tasks = {kTask};
  training.full = true;
  training.out = folder / "run";
  training.accumulate = 0;
  EXPECT_EQ(error_of([&] { train(session, training); }),
            "`accumulate` '0' is out of range; use a number at least 1");
  training.accumulate = 1;
  training.evaluate = "sometimes";
  EXPECT_EQ(error_of([&] { train(session, training); }),
            "`evaluate` 'sometimes' is unknown; use epoch, none or a number of steps");
  EXPECT_FALSE(std::filesystem::exists(folder / "run"));
}

// What a resumed run must share is what its options say that the result depends on: an option that
// nobody thought of cannot drift out of it.
TEST(Session, ARunIsIdentifiedByItsDeclaredOptions) {
  const TemporaryFolder folder;
  const Session session(mini());
  TrainOptions options;
  options.data.tasks = {kTask};
  options.data.limit = 4;
  options.feed_forward = true;
  options.batch = 2;
  options.steps = 1;
  options.evaluate = "none";
  options.out = folder / "run";
  train(session, options);
  const std::string record = bytes_of(folder / "run/run.json");
  OptionList list;
  options.declare(list);
  for (const auto& [name, value] : settings_of(list)) {
    EXPECT_NE(record.find('"' + name + '"'), std::string::npos) << name;
  }
  EXPECT_NE(record.find("\"device\": \"cpu\""), std::string::npos);
}

}  // namespace
}  // namespace taskneuron
