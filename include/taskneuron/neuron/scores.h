#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "taskneuron/model/site.h"

namespace taskneuron {

// How a task's examples are summed up to one number per unit (method, "Relevance").
enum class Aggregate {
  kExample,  // mean over examples of |Σ_t ∂loss/∂ω · ω|
  kToken,    // mean over examples of Σ_t |∂loss/∂ω · ω|
  kDataset,  // |mean over examples of Σ_t ∂loss/∂ω · ω|
};

const char* aggregate_name(Aggregate aggregate);
Aggregate parse_aggregate(const std::string& name);

// Sums over examples, float64 [layers, width]. A sum that a run could not form is undefined.
struct SiteSums {
  at::Tensor signed_sum;
  at::Tensor example_abs_sum;
  at::Tensor token_abs_sum;
  at::Tensor example_sq_sum;  // of the examples' absolute values, for standard errors
};

// What is known of scores beside the numbers. Scores may be added only where these agree.
struct ScoreInfo {
  std::string model_hash;
  std::string task;
  std::string split;
  std::string template_hash;
  std::string method;     // taylor, gradient, ...
  std::string positions;  // "all", or "own": only tokens after the shared prefix
  std::string aggregate;  // the method's default, which relevance.<site> in the file holds
  std::string dtype;
  std::string seed;
  std::string deltas;   // that the model was changed by: "HASH*SCALE", separated by spaces
  std::string experts;  // of each layer, that its units are in equal parts; empty: not a mixture
};

// The scores of one task: sums and counts, so that adding two files equals one run over both.
struct Scores {
  ScoreInfo info;
  std::map<Site, SiteSums> sites;
  std::int64_t examples = 0;
  std::int64_t tokens = 0;
  std::vector<double> losses;    // of this run's examples, not in the file; a method may form none
  std::int64_t denominator = 0;  // what sums are divided by: examples, or positions seen

  SiteShape shape(Site site) const;
  // float64 [layers, width]. Throws Error if the run did not store the sum.
  at::Tensor relevance(Site site, Aggregate aggregate) const;
  at::Tensor relevance(Site site) const;  // by the file's own aggregate
  // Standard error of the `example` aggregate, float64 [layers, width]; needs two examples.
  at::Tensor standard_error(Site site) const;
  // SHA-256 of the sums: files of the same examples agree in it.
  std::string sums_hash() const;
  // Adds another shard of the same task. Throws Error (naming where) if info or shapes differ.
  void merge(const Scores& other, const std::string& where);
};

// File format: docs/formats/scores.md.
void save_scores(const Scores& scores, const std::filesystem::path& path);
// Throws Error naming the file for one that is not a score file or does not fit itself.
Scores load_scores(const std::filesystem::path& path);

}  // namespace taskneuron
