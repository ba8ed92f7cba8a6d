#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "taskneuron/analysis/similarity.h"
#include "taskneuron/recipe/session.h"

namespace taskneuron {

// Parameter similarity of tasks' units in one model, or between two (method, "Similarity").
struct SimilarityOptions {
  std::string model;
  std::vector<std::string> deltas;
  std::string other;
  std::vector<std::string> sets;
  std::vector<std::string> with_sets;
  std::vector<std::string> scores;
  std::vector<std::string> with_scores;
  std::vector<std::string> sites;
  std::string top = "10%";
  std::string scope = "global";
  std::vector<std::string> definitions = {"masked"};
  bool allow_other_weights = false;
  void declare(OptionList& list);
  // Throws what is known to be wrong before a file is read.
  void check() const;
};

struct SimilarPair {
  std::string a, b;  // as they were named
  UnitSimilarity found;
};

struct SimilarityResult {
  ModelFolder folder;
  std::string hash;
  std::string other_hash;  // "" for one model
  std::vector<SimilarPair> pairs;
  std::int64_t peak_memory_bytes = 0;  // beyond the mapped weights
};

SimilarityResult similarity(const SimilarityOptions& options);

}  // namespace taskneuron
