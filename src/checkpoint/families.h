#pragma once

#include <vector>

#include "base/json.h"
#include "taskneuron/checkpoint/model_config.h"

namespace taskneuron {

// How one family's config.json is read. read: fills in everything but model_type, vocabulary and
// what every family says alike.
struct Family {
  const char* model_type;
  void (*read)(ModelConfig& config, const JsonView& json);
};

std::vector<Family> gpt_families();    // layer norms, FFNs without a gate
std::vector<Family> llama_families();  // descendants of Llama
std::vector<Family> gemma_families();

}  // namespace taskneuron
