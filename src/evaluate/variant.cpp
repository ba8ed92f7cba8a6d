#include "taskneuron/evaluate/variant.h"

#include <fmt/format.h>

#include <cmath>

#include "taskneuron/base/error.h"

namespace taskneuron {

const char* const kModeHelp =
    "activation: ω of the set's units is zero; parameter: their parameters are; "
    "scale=A: ω is multiplied by A";

Mode parse_mode(const std::string& text) {
  if (text == "activation") return {};
  if (text == "parameter") return {true, 0};
  if (text.rfind("scale=", 0) == 0) {
    std::size_t used = 0;
    double factor = 0;
    try {
      factor = std::stod(text.substr(6), &used);
    } catch (const std::exception&) {
      used = 0;
    }
    if (used == text.size() - 6 && used > 0 && std::isfinite(factor)) return {false, factor};
  }
  throw UsageError(
      fmt::format("--mode '{}' is unknown; use activation, parameter or scale=NUMBER", text));
}

Variant original_variant(const Decoder& decoder) {
  return {"", std::make_unique<NeuronHook>(), nullptr, &decoder};
}

Variant set_variant(const Decoder& decoder, const NeuronSet& set, const Mode& mode,
                    std::string name) {
  Variant variant = original_variant(decoder);
  variant.name = std::move(name);
  if (!mode.parameter) {
    variant.hook = std::make_unique<SetHook>(set, mode.factor);
    return variant;
  }
  for (const auto& [site, units] : set.sites) {
    variant.changed = std::make_unique<Decoder>(variant.decoder->with_zeroed(site, units.units));
    variant.decoder = variant.changed.get();
  }
  return variant;
}

}  // namespace taskneuron
