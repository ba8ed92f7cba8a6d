#pragma once

#include <memory>
#include <string>

#include "taskneuron/model/decoder.h"
#include "taskneuron/neuron/neuron_set.h"
#include "taskneuron/neuron/reference_activations.h"

namespace taskneuron {

// How a set's units are changed.
struct Mode {
  enum class Change {
    kScale,      // their activation is multiplied by factor
    kParameter,  // their parameters are zero
    kMean,       // their activation is its mean over reference texts
    kResample,   // their activation is that at another position of reference texts
  };
  // Whose texts: those of what is evaluated, or unrelated ones.
  enum class Texts { kOwn, kUnrelated };
  Change change = Change::kScale;
  double factor = 0;
  Texts texts = Texts::kOwn;

  bool needs(Texts which) const {
    return (change == Change::kMean || change == Change::kResample) && texts == which;
  }
};

// "activation", "parameter", "scale=NUMBER", "mean", "resample", "mean-text" or "resample-text".
// Throws UsageError for anything else.
Mode parse_mode(const std::string& text);

// What modes put in the place of activations: null where no mode asks for it.
struct References {
  const ReferenceActivations* own = nullptr;
  const ReferenceActivations* unrelated = nullptr;
  std::uint64_t seed = 0;  // of resampling
};

extern const char* const kModeHelp;

// A model to evaluate: as it is, or with a set of units changed. Borrows decoder and references.
struct Variant {
  std::string name;
  std::unique_ptr<NeuronHook> hook;
  std::unique_ptr<Decoder> changed;  // parameter mode
  const Decoder* decoder = nullptr;
};

Variant original_variant(const Decoder& decoder);
Variant set_variant(const Decoder& decoder, const NeuronSet& set, const Mode& mode,
                    const References& references, std::string name);

}  // namespace taskneuron
