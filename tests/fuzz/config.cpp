// A config.json.
#include "taskneuron/checkpoint/model_config.h"

#include "fuzz.h"

namespace {

void read(std::string_view text) { taskneuron::parse_model_config(text, "input"); }

}  // namespace

TASKNEURON_FUZZ(read)
