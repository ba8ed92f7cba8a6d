#pragma once

#include <memory>
#include <string>

#include "taskneuron/model/decoder.h"
#include "taskneuron/neuron/neuron_set.h"

namespace taskneuron {

// How a set's units are changed.
struct Mode {
  bool parameter = false;  // their parameters are zeroed, instead of their activation scaled
  double factor = 0;
};

// "activation", "parameter" or "scale=NUMBER". Throws UsageError for anything else.
Mode parse_mode(const std::string& text);

extern const char* const kModeHelp;

// A model to evaluate: as it is, or with a set of units changed. Borrows the decoder.
struct Variant {
  std::string name;
  std::unique_ptr<NeuronHook> hook;
  std::unique_ptr<Decoder> changed;  // parameter mode
  const Decoder* decoder = nullptr;
};

Variant original_variant(const Decoder& decoder);
Variant set_variant(const Decoder& decoder, const NeuronSet& set, const Mode& mode,
                    std::string name);

}  // namespace taskneuron
