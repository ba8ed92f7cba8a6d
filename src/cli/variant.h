#pragma once

#include <memory>
#include <string>

#include "cli/command.h"

namespace taskneuron::cli {

// How a set's units are changed.
struct Mode {
  bool parameter = false;  // their parameters are zeroed, instead of their activation scaled
  double factor = 0;
};

// "activation", "parameter" or "scale=NUMBER". Throws UsageError for anything else.
Mode parse_mode(const std::string& text);

// A model to evaluate: as it is, or with a set of units changed. Borrows the loaded model.
struct Variant {
  std::string name;
  std::unique_ptr<NeuronHook> hook;
  std::unique_ptr<Decoder> changed;  // parameter mode
  const Decoder* decoder = nullptr;
};

Variant original_variant(const LoadedModel& model);
Variant set_variant(const LoadedModel& model, const NeuronSet& set, const Mode& mode,
                    std::string name);

extern const char* const kModeHelp;

}  // namespace taskneuron::cli
