#include "taskneuron/evaluate/metric.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "taskneuron/base/error.h"
#include "taskneuron/evaluate/text_metrics.h"

namespace taskneuron {

namespace {

using References = std::vector<std::string>;

double score_match(const std::string& text, const References& references) {
  return std::any_of(references.begin(), references.end(),
                     [&](const std::string& right) { return exact_match(text, right); })
             ? 1
             : 0;
}

double score_rouge(const std::string& text, const References& references) {
  return rouge_l(text, references, Stemming::kNone);
}

double score_stemmed_rouge(const std::string& text, const References& references) {
  return rouge_l(text, references, Stemming::kPorter);
}

const std::array<Metric, 7>& metrics() {
  static const std::array<Metric, 7> the = {{
      {"accuracy", Better::kHigher, nullptr},
      {"accuracy (rank-norm)", Better::kHigher, nullptr},
      {"exact match", Better::kHigher, score_match},
      {"rougeL", Better::kHigher, score_rouge},
      {"rougeL-stem", Better::kHigher, score_stemmed_rouge},
      {"loss", Better::kLower, nullptr},
      {"score", Better::kHigher, nullptr},
  }};
  return the;
}

}  // namespace

const char* scoring_name(Scoring scoring) {
  switch (scoring) {
    case Scoring::kRank: return "rank";
    case Scoring::kRankNorm: return "rank-norm";
    case Scoring::kGenerate: return "generate";
    case Scoring::kLoss: return "loss";
  }
  TN_CHECK(false);
}

const Metric& find_metric(const std::string& name) {
  std::vector<std::string> names;
  for (const Metric& metric : metrics()) {
    if (metric.name == name) return metric;
    names.push_back(metric.name);
  }
  throw Error(fmt::format("metric '{}' is unknown; metrics are {}", name, fmt::join(names, ", ")));
}

const Metric& metric_of(const Task& task, Scoring scoring) {
  switch (scoring) {
    case Scoring::kRank: return find_metric("accuracy");
    case Scoring::kRankNorm: return find_metric("accuracy (rank-norm)");
    case Scoring::kLoss: return find_metric("loss");
    case Scoring::kGenerate: break;
  }
  if (task.type == TaskType::kClassification) return find_metric("exact match");
  // What a generation task's meta.json may name; anything else is scored as the default is.
  for (const Metric& metric : metrics()) {
    if (metric.name == task.metric && metric.score != nullptr) return metric;
  }
  return find_metric("rougeL");
}

}  // namespace taskneuron
