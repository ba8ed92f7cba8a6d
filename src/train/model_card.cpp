#include "taskneuron/train/model_card.h"

#include <fmt/format.h>

#include <filesystem>

#include "taskneuron/base/version.h"

namespace taskneuron {

std::string model_card(const ModelOrigin& origin) {
  std::filesystem::path base = std::filesystem::path(origin.base).lexically_normal();
  if (!base.has_filename()) base = base.parent_path();
  std::string text = fmt::format(
      "# A model changed from {0}\n\n"
      "Not {0} itself: weights of it were changed, {1}.\n\n"
      "- base: {0}, `{2}`\n",
      base.filename().string(), origin.how, origin.base_hash);
  for (const RunInput& delta : origin.deltas) {
    text += fmt::format("- delta: `{}`, `{}`, times {}\n", delta.path, delta.hash,
                        delta.scale.value_or(1));
  }
  return text + fmt::format("- program: taskneuron {}\n", version());
}

}  // namespace taskneuron
