#pragma once

#include <string>
#include <vector>

#include "taskneuron/data/task.h"

namespace taskneuron {

enum class Scoring {
  kRank,      // argmax over labels of Σ log p(label tokens | prompt)
  kRankNorm,  // the same divided by the label's characters
  kGenerate,  // greedy text: exact match for classification, ROUGE-L for generation
  kLoss,      // mean example loss alone
};

const char* scoring_name(Scoring scoring);

enum class Better { kHigher, kLower };

// What an evaluation averages. What follows from a metric is read from its row; its name is for
// people and files.
struct Metric {
  // With its variant: "accuracy", "accuracy (rank-norm)", "exact match", "rougeL", "rougeL-stem",
  // "loss"; "score" where a file does not say which.
  std::string name;
  Better better = Better::kHigher;
  // Of a generated text, in [0, 1]; null where labels are ranked or losses are all there is.
  double (*score)(const std::string& text, const std::vector<std::string>& references) = nullptr;

  // How much better `difference` (new − old) makes it; worse is negative.
  double gain(double difference) const {
    return better == Better::kHigher ? difference : -difference;
  }
};

// The metric of a task, scored in this way.
const Metric& metric_of(const Task& task, Scoring scoring);
// The row of a name in a result or prediction file. Throws Error for one that is not there.
const Metric& find_metric(const std::string& name);

}  // namespace taskneuron
