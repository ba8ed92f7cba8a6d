#pragma once

#include <cstdint>

#include "base/json.h"
#include "taskneuron/checkpoint/model_config.h"

namespace taskneuron {

// What a family calls the fields of its rotation, and what they are where config.json lacks them.
struct RotaryFields {
  const char* theta = "rope_theta";
  double default_theta = 10000;
  const char* share = "partial_rotary_factor";  // of a head's dimensions that are turned
  double default_share = 1;
  bool yarn_is_longrope = false;  // what early files of Phi-3 call it
};

// The rotation that config.json gives: base and scaling stand in rope_theta and rope_scaling, or in
// the newer rope_parameters. REQUIRES head_dim and max_positions. Throws Error for a kind of
// scaling that is not computed here, and where angles would not be finite.
RotaryConfig read_rotary(const JsonView& json, const ModelConfig& config,
                         const RotaryFields& fields = {});

// The rotation of given frequencies, scaled as `scaling` says (an object with rope_type). theta and
// dims: what the frequencies were made of.
struct RotaryBase {
  double theta = 10000;
  std::int64_t dims = 0;  // that are turned, of each head
  bool yarn_is_longrope = false;
};
RotaryConfig scaled_rotary(const RotaryBase& base, const JsonView* scaling,
                           const ModelConfig& config, const JsonView& json);

}  // namespace taskneuron
