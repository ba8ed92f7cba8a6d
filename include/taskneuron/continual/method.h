#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "taskneuron/continual/method_settings.h"
#include "taskneuron/neuron/neuron_set.h"
#include "taskneuron/neuron/ranking.h"
#include "taskneuron/train/step_term.h"
#include "taskneuron/train/unit_values.h"

namespace taskneuron {

// Continual learning (method, "Question 3"): tasks come one after another, and a method says what
// of the model each of them trains, what joins the loss, what is remembered of it, and which model
// answers a task afterwards. Stages and tasks are counted from 0 here.

// A task of a stream and which of its rows train.
struct StreamTask {
  std::string name;
  std::string folder;
  std::int64_t train_rows = 0;
};

// What an earlier stage left behind.
struct PastStage {
  std::size_t task = 0;
  std::optional<NeuronSet> set;  // whose units it trained
  TermState trained;  // masters of what it trained, by "master.<parameter>"; adapters only
  TermState memory;   // what remember() gave
};

// What a method may ask of a stage that is about to train. What costs time is kept in the stage's
// folder.
class StageView {
 public:
  virtual ~StageView() = default;

  virtual std::size_t stage() const = 0;
  // Of the stream, those that are still to come included.
  virtual const std::vector<StreamTask>& tasks() const = 0;
  virtual std::uint64_t seed() const = 0;  // of this stage alone
  virtual const std::vector<PastStage>& past() const = 0;

  virtual const Checkpoint& base() const = 0;
  virtual const Decoder& base_decoder() const = 0;
  // The model as the last stage left it; the base before the first.
  virtual const Checkpoint& last() const = 0;
  virtual const Decoder& last_decoder() const = 0;

  // The stage will start from the base with earlier stages' changes at these weights
  // (StagePlan::start_weights): units are found, and tried, in that model. Before either.
  virtual void start_from(const std::vector<double>& weights) = 0;

  // Relevance of units for this stage's task in the model that it starts from, and for an earlier
  // one's as it was found then. `finder`: MethodSettings::finder.
  virtual SiteRelevance relevance(const MethodSettings& settings) = 0;
  virtual SiteRelevance past_relevance(std::size_t stage) const = 0;
  // Mean validation loss of this stage's task after these units have trained as the stage will.
  virtual double validation_loss(const NeuronSet& set, const MethodSettings& settings) = 0;
  // How like this stage's task is to each earlier one (features.h), softmax over them.
  virtual std::vector<double> similarities(double temperature) = 0;
  // What an earlier stage changed at its units, for a model that trains `what`.
  virtual UnitValues changes(std::size_t stage, const TrainableModel& model) = 0;
  // Runs examples of this stage's task through a model that trains; see fisher.h.
  virtual UnitValues fisher(TrainableModel& model, std::int64_t rows) = 0;
};

// What a method needs of a stage once it is over, beside the model as it is then.
enum class Kept {
  kChange,     // what it changed
  kAdapters,   // what it trained of adapters
  kSet,        // which units
  kRelevance,  // how relevant every unit was
};

// Rows of an earlier task that train beside the new ones.
struct StoredRows {
  std::size_t task = 0;
  std::vector<std::int64_t> rows;  // of its train split, ascending
};

// What a stage trains.
struct StagePlan {
  bool from_base = false;             // else from the last stage's model
  std::vector<double> start_weights;  // of earlier stages' changes that it starts from, instead
  std::optional<NeuronSet> set;       // of TrainedPart::kUnits
  TrainableOptions what;              // filled from `set` where there is one
  TermState start;                    // masters to begin with, as PastStage::trained
  std::vector<StoredRows> stored;
  std::vector<std::size_t> together;  // other tasks all of whose rows train too
};

// One model that answers some rows of a task.
struct Answer {
  std::int64_t stage = -1;         // the model after it; -1: the base
  std::vector<double> weights;     // of each stage's change, instead of `stage`
  std::string combine = "delta";   // how they are put together (combination.h)
  std::vector<std::int64_t> rows;  // of the split, ascending; empty: all
};

// What a method may ask when a task is to be answered after stage() stages.
class TestView {
 public:
  virtual ~TestView() = default;
  virtual std::size_t stages() const = 0;  // that are done
  // Which stage trained the task; nothing: none yet.
  virtual std::optional<std::size_t> stage_of_task() const = 0;
  // Features of the base model (features.h): of the rows that are to be answered, without their
  // answers, and of a task that a stage has trained. [rows, d] float32.
  virtual const at::Tensor& test_features() = 0;
  virtual const at::Tensor& seen_features(std::size_t stage) = 0;
};

// One method. Holds its settings; what a stream has led to is in the views.
class Method {
 public:
  explicit Method(MethodSettings settings) : settings_(std::move(settings)) {}
  virtual ~Method() = default;
  const MethodSettings& settings() const { return settings_; }

  // Whether every task is trained from the base by itself, whatever came before.
  virtual bool independent() const { return false; }
  // Whether all tasks of the stream are one stage.
  virtual bool together() const { return false; }
  // Whether stages train units that are found for their task.
  virtual bool finds_units() const { return false; }
  // Whether a stage's validation rows have a part in what it trains.
  virtual bool validates() const { return false; }
  // What a stream must store beside the model so that it can go on, for the fairness of a
  // comparison. Of each task: parts of its stage, rows of features ([d] each), and train rows.
  virtual std::set<Kept> keeps() const { return {}; }
  virtual std::int64_t kept_features() const { return 0; }
  virtual std::vector<std::int64_t> kept_rows(const StreamTask&) const { return {}; }
  // Once for all tasks so far, beside what remember() gives: parts of the last stage, rows of
  // features.
  virtual std::set<Kept> keeps_once() const { return {}; }
  virtual std::int64_t kept_features_once(std::int64_t /*width*/) const { return 0; }

  // What the weights after a stage depend on beside the stages before it, the stage's rows, its
  // seed, and how it trains (lr, epochs, batch): stages that agree in all of this are one. Keys and
  // values of the settings that matter at this stage.
  virtual std::map<std::string, std::string> identity(std::size_t stage) const = 0;
  // Before the task.
  virtual StagePlan plan(StageView& view) const = 0;
  // What joins the stage's steps (loss terms, projections). The view outlives them.
  virtual std::vector<std::unique_ptr<StepTerm>> terms(StageView&, const TrainableModel&) const {
    return {};
  }
  // Learning rates of units as factors, one tensor per parameter of the model, or none.
  virtual std::vector<at::Tensor> unit_rates(StageView&, const TrainableModel&) const { return {}; }
  // After the task: what must be remembered beside what was trained. remembers(): a name of what
  // it depends on beside the stage; empty where there is nothing.
  virtual std::string remembers() const { return ""; }
  virtual NamedTensors remember(StageView&) const { return {}; }
  // At test time. Nothing: the task cannot be answered (a reference that has not trained it).
  virtual std::vector<Answer> answers(TestView& view) const;

 private:
  MethodSettings settings_;
};
using MethodPtr = std::unique_ptr<const Method>;

// A row of the list of methods.
struct MethodKind {
  const char* name;
  const char* help;
  std::set<std::string> keys;                  // that it reads, beside lr, epochs and batch
  void (*defaults)(MethodSettings& settings);  // what differs from MethodSettings's own
  MethodPtr (*make)(const MethodSettings& settings);
};
const std::vector<MethodKind>& method_kinds();
// Throws UsageError that lists the known ones.
const MethodKind& find_method(const std::string& name);
// Every key that a method reads.
std::set<std::string> method_keys(const MethodKind& kind);

}  // namespace taskneuron
