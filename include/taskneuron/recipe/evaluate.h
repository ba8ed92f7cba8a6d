#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "taskneuron/evaluate/evaluation.h"
#include "taskneuron/evaluate/loss_interval.h"
#include "taskneuron/recipe/findings.h"
#include "taskneuron/recipe/session.h"

namespace taskneuron {

// Metrics of a model on tasks and a text, as it is and with the units of sets changed.
struct EvaluateOptions {
  DataOptions data;
  std::vector<std::string> sets;
  std::string mode = "activation";
  std::string scoring;
  std::string stop = "blank-line";
  std::int64_t max_new_tokens = 0;
  std::string text;
  std::string predictions;  // file of one JSON row per example and set
  bool force = false;       // whether it may replace one
  bool allow_other_weights = false;
  EvaluateOptions() { data.split = "test"; }
  void declare(OptionList& list);  // all but `force`
  // Throws what is known to be wrong before a model is opened.
  void check() const;
};

struct EvaluatedTask {
  std::string set;    // its file; empty: the model as it is
  TaskResult result;  // without predictions
  LossInterval loss;
};

struct EvaluatedText {
  std::string set;
  std::int64_t window = 0;  // tokens
  PerplexityResult result;
};

struct EvaluateResult {
  std::string template_name;
  RunHashes hashes;
  std::vector<EvaluatedTask> tasks;
  std::vector<EvaluatedText> text;
  std::vector<ReferenceTexts> references;
  std::vector<Warning> warnings;  // of sets
};

EvaluateResult evaluate(const Session& session, const EvaluateOptions& options);

}  // namespace taskneuron
