#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "taskneuron/neuron/neuron_set.h"
#include "taskneuron/recipe/outputs.h"

namespace taskneuron {

// The most relevant units of score files, or random ones, as set files.
struct SelectOptions {
  std::vector<std::string> scores;
  std::string top = "10%";
  std::string scope = "global";
  std::string aggregate;
  std::vector<std::string> sites;
  std::vector<std::string> contrast;
  std::int64_t random = 0;
  std::string like;
  std::string random_kind = "matched";
  std::uint64_t seed = 0;
  OutputOptions output;
  void declare(OptionList& list);
};

struct SelectedSet {
  std::string path;
  NeuronSet set;
};

// Writes the files that it returns.
std::vector<SelectedSet> select(const SelectOptions& options);

}  // namespace taskneuron
