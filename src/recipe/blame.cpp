#include "recipe/blame.h"

#include <fmt/format.h>

#include "taskneuron/base/error.h"

namespace taskneuron {

void blame_weights(const Checkpoint& checkpoint, const std::function<void()>& work) {
  try {
    work();
  } catch (const NonFiniteError& error) {
    const std::string tensor = checkpoint.first_non_finite();
    if (tensor.empty()) {
      throw NonFiniteError(fmt::format("{} (every weight of {} is finite)", error.what(),
                                       checkpoint.folder().string()));
    }
    throw Error(
        fmt::format("{}: tensor '{}' holds values that are not finite; the checkpoint is damaged",
                    checkpoint.folder().string(), tensor));
  }
}

}  // namespace taskneuron
