#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/base/clustering.h"
#include "taskneuron/base/options.h"
#include "taskneuron/neuron/comparison.h"
#include "taskneuron/neuron/shared_core.h"

namespace taskneuron {

// How much tasks share: sets, unions of sets, or score files at several sizes of their top sets
// (method, "Overlap").
struct OverlapOptions {
  std::vector<std::string> files;
  std::vector<std::string> tops = {"10%"};
  std::string scope = "global";
  bool per_layer = false;
  std::int64_t core = 0;  // 0: any number of sets
  std::uint64_t seed = 0;
  bool allow_other_weights = false;
  void declare(OptionList& list);
  // Throws what is known to be wrong before a file is read.
  void check() const;
};

struct OverlapLayer {
  LayerComparison found;
  double p_adjusted = 1;  // over the layers of the pair (Benjamini-Hochberg)
};

struct OverlapPair {
  std::string a, b;  // as they were named
  SetComparison overlap;
  std::optional<ScoreComparison> relevance;      // of score files
  std::optional<IndependentChance> independent;  // where one is a union
  // Corrected over all pairs (Benjamini-Hochberg).
  double p_adjusted = 1;
  std::optional<double> independent_p_adjusted;
  std::vector<OverlapLayer> layers;  // where asked for
};

// Tasks by their distance from each other, average linkage.
struct OverlapTree {
  std::string distance;  // "beyond-chance" or "jaccard"
  std::vector<Merge> merges;
};

// All sets, or the top sets of one size of all score files.
struct OverlapGroup {
  std::string top;  // of score files
  std::vector<OverlapPair> pairs;
  std::optional<SharedCore> core;  // of three and more, or where asked for
  // Of three and more.
  std::optional<JointOverlap> together;
  std::vector<OverlapTree> trees;
};

struct OverlapResult {
  std::vector<std::string> names;    // of the sets
  std::vector<OverlapGroup> groups;  // in the order of `tops`
  // By name, where models with other weights are compared.
  std::vector<std::string> model_hashes;
};

OverlapResult overlap(const OverlapOptions& options);

}  // namespace taskneuron
