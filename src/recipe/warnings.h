#pragma once

#include <string>
#include <vector>

#include "taskneuron/neuron/neuron_set.h"
#include "taskneuron/recipe/findings.h"

// Finds what numbers cannot show, or were not made for.
namespace taskneuron {

// What a set's units were detected with; empty where that is not known.
struct Origin {
  std::string split;
  std::string template_hash;
  std::string model_hash;
};

// Warns where units are evaluated on the split of their own task that they were detected on.
void warn_of_rows(const Origin& origin, const std::string& split, Warning of,
                  std::vector<Warning>& warnings);
// Warns of another prompt template, and of other weights. of: the task or set that is spoken of.
void warn_of_template(const Origin& origin, const RunHashes& run, Warning of,
                      std::vector<Warning>& warnings);
void warn_of_weights(const Origin& origin, const RunHashes& run, Warning of,
                     std::vector<Warning>& warnings);

// Of sets made by select, by what their files say; random ones were not detected on anything.
// paths: of the sets. tasks: folders that they are evaluated on; may be none.
std::vector<Warning> set_warnings(const std::vector<std::string>& paths,
                                  const std::vector<NeuronSet>& sets,
                                  const std::vector<std::string>& tasks, const std::string& split,
                                  const RunHashes& run);

}  // namespace taskneuron
