#pragma once

#include <string>

#include "taskneuron/checkpoint/model_folder.h"

namespace taskneuron {

// The folder of a model that is named as find_model takes it, or by its GGUF file: that is
// converted once, slice by slice, into XDG_CACHE_HOME/taskneuron/models (default ~/.cache), where
// later calls find it, and processes share its pages. In float32 or float16 where most of its
// matrices are, else in bfloat16. A first conversion is said on standard error, with the folder.
ModelFolder locate_model(const std::string& name);

}  // namespace taskneuron
