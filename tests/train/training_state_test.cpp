// What a checkpoint holds and how it is found again: by tensor and unit, term by term.
#include "train/training_state.h"

#include <algorithm>
#include <fstream>

#include "base/file.h"
#include "base/torch_compat.h"
#include "support/trained_model.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/interruption.h"
#include "taskneuron/checkpoint/safetensors.h"
#include "taskneuron/train/l2_start.h"
#include "taskneuron/train/training_run.h"

namespace taskneuron {
namespace {

namespace fs = std::filesystem;
using test::end_to_end;
using test::every_third_unit;
using test::TaskOnModel;

constexpr std::int64_t kSteps = 6;

TrainerOptions settings(const std::vector<StepTerm*>& terms) {
  TrainerOptions options;
  options.schedule.learning_rate = 0.005;
  options.schedule.steps = kSteps;
  options.sampling.batch = 3;
  options.terms = terms;
  return options;
}

// Counts what it is told, and keeps the count in the checkpoint.
class Counter : public StepTerm {
 public:
  std::string name() const override { return "counter"; }
  void task_begins(const TaskView&) override { ++begun; }
  void task_ends(const TaskView&) override { ++ended; }
  double add(const StepView&) override {
    steps += 1;
    return 0;
  }
  NamedTensors state() const override { return {{"steps", steps.clone()}}; }
  void restore(const TermState& state, const TrainableModel&) override {
    steps = state.at("steps");
  }
  at::Tensor steps = at::zeros({1}, at::kLong);
  int begun = 0, ended = 0;
};

class TrainingStates : public ::testing::Test {
 protected:
  TrainingStates() : train_(end_to_end("llama")) {}

  TrainableModel units(Site site) const {
    return make_trainable(train_.checkpoint, train_.decoder,
                          every_third_unit(train_.checkpoint.config(), site));
  }
  Trainer trainer(TrainableModel& model, const std::vector<StepTerm*>& terms) const {
    return Trainer(model, {{"task", train_.examples, {}}}, settings(terms));
  }
  // Runs until `stop` steps are done in this session, or to the end; returns the run's delta.
  std::string run(const fs::path& out, const std::vector<StepTerm*>& terms, std::int64_t stop) {
    TrainableModel model = units(Site::kAct);
    TrainingRunOptions options;
    options.out = out;
    options.resume = true;
    const TrainingFolder folder(options);
    Trainer trained = trainer(model, terms);
    std::int64_t done = 0;
    try {
      run_training(train_.checkpoint, model, trained, options, [&](const TrainingProgress& step) {
        if (!step.resumed) done += step.steps;
        if (done == stop) throw Interrupted("");
      });
    } catch (const Interrupted&) {
      return "";
    }
    return read_file(out / "delta.safetensors");
  }
  // A checkpoint after two steps.
  void save(const std::vector<StepTerm*>& terms) const {
    TrainableModel model = units(Site::kAct);
    Trainer trained = trainer(model, terms);
    for (std::int64_t step = 1; step <= 2; ++step) trained.step(step);
    TrainingState state;
    state.step = 2;
    save_training_state(state, trained, folder_.path());
  }
  // The error of loading it, perhaps with something changed in the file.
  using Change = std::function<void(NamedTensors&, std::map<std::string, std::string>&)>;
  std::string problem(TrainableModel model, const std::vector<StepTerm*>& terms,
                      const Change& change = {}) const {
    const fs::path path = folder_ / "checkpoint.safetensors";
    if (change) {
      const SafetensorsFile file(path);
      NamedTensors tensors;
      for (const auto& item : file.entries()) {
        tensors.emplace_back(item.first, file.tensor(item.first).clone());
      }
      auto metadata = file.metadata();
      change(tensors, metadata);
      write_safetensors(path, tensors, metadata);
    }
    Trainer trained = trainer(model, terms);
    TrainingState state;
    return test::error_of([&] { load_training_state(folder_.path(), trained, state); });
  }

  TaskOnModel train_;
  test::TemporaryFolder folder_;
};

std::string penalties(const fs::path& steps) {
  std::ifstream stream(steps);
  std::string found;
  for (std::string line; std::getline(stream, line);) {
    found += line.substr(line.find("\"gradient_norm\"")) + "\n";
  }
  return found;
}

TEST_F(TrainingStates, AResumedRunWithTermsGivesTheSameBytes) {
  L2Start l2(0.3), without(0);
  Counter counter;
  const std::string whole = run(folder_ / "whole", {&l2, &counter}, -1);
  EXPECT_EQ(counter.begun, 1);
  EXPECT_EQ(counter.ended, 1);
  ASSERT_NE(whole, "");
  EXPECT_NE(whole, run(folder_ / "without", {&without}, -1));
  int begun = 0, ended = 0;
  std::string resumed;
  for (int session = 0; resumed.empty() && session < 10; ++session) {
    L2Start own(0.3);
    Counter mine;
    resumed = run(folder_ / "resumed", {&own, &mine}, session == 1 ? 1 : 2);
    begun += mine.begun;
    ended += mine.ended;
    EXPECT_TRUE(resumed.empty() || mine.steps.item<std::int64_t>() == kSteps);
  }
  EXPECT_TRUE(whole == resumed);
  EXPECT_EQ(begun, 1);
  EXPECT_EQ(ended, 1);
  const std::string wanted = penalties(folder_ / "whole/train.jsonl");
  EXPECT_EQ(wanted, penalties(folder_ / "resumed/train.jsonl"));
  EXPECT_NE(wanted.find("\"penalty\":"), std::string::npos) << wanted;
}

TEST_F(TrainingStates, StateIsFoundByTensorAndNotByPosition) {
  L2Start l2(0.3);
  TrainableModel model = units(Site::kAct), turned = units(Site::kAct);
  std::reverse(turned.parameters.begin(), turned.parameters.end());
  Trainer trained = trainer(model, {&l2});
  for (std::int64_t step = 1; step <= 2; ++step) trained.step(step);
  TrainingState state;
  state.step = 2;
  for (const ParameterPtr& parameter : model.parameters) {
    state.best_masters.put(*parameter, parameter->master * 2);
  }
  save_training_state(state, trained, folder_.path());
  L2Start again(0.3);
  Trainer other = trainer(turned, {&again});
  TrainingState read;
  ASSERT_TRUE(load_training_state(folder_.path(), other, read));
  EXPECT_EQ(read.step, 2);
  const std::size_t count = model.parameters.size();
  for (std::size_t p = 0; p < count; ++p) {
    const std::size_t q = count - 1 - p;
    const Parameter& ours = *model.parameters[p];
    EXPECT_EQ(ours.key(), turned.parameters[q]->key());
    EXPECT_TRUE(at::equal(ours.master, turned.parameters[q]->master));
    EXPECT_TRUE(
        at::equal(trained.optimizer().states()[p].first, other.optimizer().states()[q].first));
    EXPECT_TRUE(at::equal(read.best_masters.of(ours), ours.master * 2));
  }
  EXPECT_NEAR(*trained.step(3).penalty, *other.step(3).penalty, 1e-9);
}

TEST_F(TrainingStates, WhatDoesNotMatchIsNamed) {
  L2Start l2(0.3);
  save({&l2});
  const std::string missing = problem(units(Site::kOut), {&l2});
  EXPECT_NE(missing.find("'units.model.layers.1.mlp.down_proj.weight' is missing"),
            std::string::npos)
      << missing;
  const std::string more = problem(units(Site::kUp), {&l2});
  EXPECT_NE(more.find("which this run does not train"), std::string::npos) << more;
  TrainableOptions fewer = every_third_unit(train_.checkpoint.config(), Site::kAct);
  fewer.units[Site::kAct].back().pop_back();
  const std::string units_message =
      problem(make_trainable(train_.checkpoint, train_.decoder, fewer), {&l2});
  EXPECT_NE(units_message.find("units are not the"), std::string::npos) << units_message;
  const std::string terms = problem(units(Site::kAct), {});
  EXPECT_NE(terms.find("terms were 'l2-start', this run's are ''"), std::string::npos) << terms;
  const std::string stray = problem(units(Site::kAct), {&l2}, [](NamedTensors& tensors, auto&) {
    tensors.emplace_back("master.elsewhere", at::ones({2}));
  });
  EXPECT_NE(stray.find("'master.elsewhere', which this run does not train"), std::string::npos)
      << stray;
}

TEST_F(TrainingStates, ADamagedTermOrAnOldFormatIsNamed) {
  L2Start l2(0.3);
  save({&l2});
  const std::string lost = problem(units(Site::kAct), {&l2}, [](NamedTensors& tensors, auto&) {
    const auto start = std::find_if(tensors.begin(), tensors.end(), [](const auto& item) {
      return item.first.rfind("term.l2-start/", 0) == 0;
    });
    const std::string key = start->first.substr(0, start->first.rfind('.'));
    tensors.erase(std::remove_if(tensors.begin(), tensors.end(),
                                 [&](const auto& item) { return item.first.rfind(key, 0) == 0; }),
                  tensors.end());
  });
  EXPECT_NE(lost.find("the state of 'l2-start' does not fit: no start of"), std::string::npos)
      << lost;
  const std::string old = problem(units(Site::kAct), {&l2}, [](NamedTensors&, auto& metadata) {
    metadata["format"] = "taskneuron.training-state/1";
  });
  EXPECT_NE(old.find("training-state/1"), std::string::npos) << old;
  EXPECT_NE(old.find("start the run over"), std::string::npos) << old;
}

TEST_F(TrainingStates, WhatNoRunCanHaveIsRefused) {
  const auto with_first = [&](const std::string& prefix, double value) {
    save({});
    return problem(units(Site::kAct), {}, [&](NamedTensors& tensors, auto&) {
      for (auto& [name, tensor] : tensors) {
        if (name.rfind(prefix, 0) != 0) continue;
        tensor = tensor.clone();
        tensor.view({-1})[0].fill_(value);
      }
    });
  };
  EXPECT_NE(with_first("updates.", -1).find("holds counts outside of 0 to 2"), std::string::npos);
  EXPECT_NE(with_first("updates.", 3).find("holds counts outside of 0 to 2"), std::string::npos);
  EXPECT_NE(with_first("second.", -1e-9).find("negative means of squares"), std::string::npos);
}

}  // namespace
}  // namespace taskneuron
