#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/data/batch_memory.h"
#include "taskneuron/data/batching.h"
#include "taskneuron/data/examples.h"
#include "taskneuron/data/text_windows.h"
#include "taskneuron/evaluate/metric.h"
#include "taskneuron/model/decoder.h"

namespace taskneuron {

// How generated text ends, beside end-of-sequence and the longest length.
enum class StopRule {
  kBlankLine,
  kNewline,
};

struct Prediction {
  std::int64_t index = 0;  // row of the split, from 0
  std::string prediction;
  std::string reference;
  double score = 0;            // what the metric averages: 1 or 0 for accuracy
  double loss = 0;             // example loss, nats
  std::vector<double> scores;  // one log-probability per label, ranking only
  std::int64_t gold = -1;      // the right label among them
};

// One task's result (every value a fraction of 1, but losses in nats).
struct TaskResult {
  std::string task;
  std::string split;
  Metric metric;
  double value = 0;
  double standard_error = 0;
  double loss = 0;  // mean example loss
  std::int64_t examples = 0;
  std::int64_t truncated = 0;
  std::vector<Prediction> predictions;
};

// Called with examples done and tokens run since the last call, one call at a time, on any thread.
// May throw to end the work (base/interruption.h, "Cancelling").
using EvaluationProgress = std::function<void(std::int64_t examples, std::int64_t tokens)>;

struct EvaluationOptions {
  std::optional<Scoring> scoring;  // default: kRank for classification, kGenerate for generation
  StopRule stop = StopRule::kBlankLine;
  std::int64_t max_new_tokens = 0;  // 0: as many as the longest answer of the train split has
};

// A split encoded once, to be evaluated under any number of hooks and models of one tokenizer. What
// its prompts have in common runs once per batch.
class TaskEvaluation {
 public:
  // Encodes. Throws Error as ExampleEncoder does, and for ranking a generation task.
  // Borrows encoder and its tokenizer.
  TaskEvaluation(const Task& task, std::string split, const std::vector<TaskRow>& rows,
                 const ExampleEncoder& encoder, const EvaluationOptions& options);

  std::int64_t examples() const;
  std::int64_t truncated() const { return truncated_; }
  TaskType type() const { return type_; }

  // What run() will put through the model, for fit_batches().
  BatchDemand demand() const;

  // Ties go to the first label. Throws Error if a loss is not finite.
  TaskResult run(const Decoder& decoder, NeuronHook& hook, const BatchLimits& limits,
                 const EvaluationProgress& progress) const;
  // What run() gave, of its predictions that were kept in a file. Throws Error that begins with
  // `where` unless they can be of this evaluation: every row in its order, ranked labels where it
  // ranks.
  TaskResult result_of(std::vector<Prediction> kept, const std::string& where) const;

 private:
  TaskResult summed_up(std::vector<Prediction> predictions) const;
  // What run() is given, and where its predictions go: each member fills its own row.
  struct Pass;
  using Members = std::vector<std::int64_t>;
  std::vector<std::int64_t> lengths() const;
  void require_same_rows() const;  // as other ranks have
  void score_members(const Pass& pass) const;
  void run_ranking(const Pass& pass, const Members& members) const;
  void run_loss(const Pass& pass, const Members& members) const;
  std::vector<Members> own_groups(const BatchLimits& limits) const;  // that this rank generates
  void generate_members(const Pass& pass) const;
  void run_generation(const Pass& pass, const Members& members) const;
  void encode_rows(const Task& task);
  void encode_prompts(const Task& task);

  const ExampleEncoder& encoder_;
  TaskType type_;
  std::string task_;
  std::string split_;
  std::string folder_;
  Scoring scoring_;
  const Metric& metric_;
  StopRule stop_;
  std::int64_t max_new_tokens_;
  std::int64_t truncated_ = 0;
  std::int64_t prefix_ = 0;  // tokens that all rows share at their start
  std::vector<TaskRow> rows_;
  std::vector<RankedExample> ranked_;               // when ranking
  std::vector<AnswerExample> answers_;              // otherwise
  std::vector<std::vector<std::int64_t>> prompts_;  // when generating
};

// Perplexity of running text: exp of the mean nats per token that is predicted.
struct PerplexityResult {
  double perplexity = 0;
  double standard_error = 0;  // from the spread over windows (delta method)
  double loss = 0;            // nats per token
  std::int64_t tokens = 0;    // predicted ones
  std::int64_t windows = 0;
};
BatchDemand perplexity_demand(const TextWindows& text);
PerplexityResult evaluate_perplexity(const Decoder& decoder, NeuronHook& hook,
                                     const TextWindows& text, const BatchLimits& limits,
                                     const EvaluationProgress& progress);

}  // namespace taskneuron
