#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/folder_lock.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/data/text_windows.h"
#include "taskneuron/evaluate/variant.h"
#include "taskneuron/neuron/scores.h"
#include "taskneuron/recipe/ablate.h"

namespace taskneuron {

// What of this run does not fit the scores that the sets come from, or cannot show what is asked.
std::vector<Warning> ablate_warnings(const AblateResult& found,
                                     const std::vector<ScoreInfo>& origins);

// What an ablation has evaluated so far, in files of its folder (docs/formats/results.md): the same
// command, killed and started again, goes on from there.
class KeptEvaluations {
 public:
  // Throws Error where the folder is another ablation's, naming what differs, or something else.
  KeptEvaluations(const TaskReader& reader, const AblateOptions& options);

  // Nothing where it has not been evaluated. All ranks ask for the same, in the same order.
  std::optional<TaskResult> find(const TaskEvaluation& evaluation, const std::string& task,
                                 const EvaluatedRow& row) const;
  void keep(const EvaluatedRow& row, const TaskResult& result) const;
  // Of the text, with the same sets off.
  std::optional<double> find_perplexity(const EvaluatedRow& row) const;
  void keep_perplexity(const EvaluatedRow& row, double perplexity) const;

 private:
  std::filesystem::path task_path(const std::string& task, const EvaluatedRow& row) const;
  std::filesystem::path text_path(const EvaluatedRow& row) const;

  std::filesystem::path folder_;
  FolderLock lock_;
};

// The side effect: perplexity of the options' text with the same sets off. Borrows the reader.
class TextEvaluation {
 public:
  TextEvaluation(const AblateOptions& options, const TaskReader& reader);

  const TextWindows& windows() const { return text_; }
  // With every set of the conditions off, and as the model is. kept: null for none.
  void run(AblateResult& found, const References& references, const KeptEvaluations* kept) const;

 private:
  double perplexity(const Variant& variant, Progress& bar) const;

  const Decoder& decoder_;
  TextWindows text_;
  BatchLimits limits_;
};

// FOLDER/TASK.jsonl: every example of a task under every set (docs/formats/results.md).
class AblatePredictions {
 public:
  AblatePredictions(const std::string& folder, const std::string& task, Existing existing);
  void write(const EvaluatedRow& row, const TaskResult& result);
  void commit() { file_.commit(); }

 private:
  AtomicFile file_;
};

}  // namespace taskneuron
