#include "taskneuron/evaluate/variant.h"

#include <fmt/format.h>

#include <cmath>

#include "taskneuron/base/error.h"

namespace taskneuron {

const char* const kModeHelp =
    "activation: ω of the set's units is zero; parameter: their parameters are; "
    "scale=A: ω is multiplied by A; mean: ω is its mean over the task's prompts; resample: ω is "
    "that at another position of them; mean-text, resample-text: likewise over an unrelated text";

Mode parse_mode(const std::string& text) {
  using Change = Mode::Change;
  if (text == "activation") return {};
  if (text == "parameter") return {Change::kParameter};
  for (const auto texts : {Mode::Texts::kOwn, Mode::Texts::kUnrelated}) {
    const std::string suffix = texts == Mode::Texts::kOwn ? "" : "-text";
    if (text == "mean" + suffix) return {Change::kMean, 0, texts};
    if (text == "resample" + suffix) return {Change::kResample, 0, texts};
  }
  if (text.rfind("scale=", 0) == 0) {
    std::size_t used = 0;
    double factor = 0;
    try {
      factor = std::stod(text.substr(6), &used);
    } catch (const std::exception&) {
      used = 0;
    }
    if (used == text.size() - 6 && used > 0 && std::isfinite(factor))
      return {Change::kScale, factor};
  }
  throw UsageError("mode", text,
                   "activation, parameter, scale=NUMBER, mean, resample, mean-text or "
                   "resample-text");
}

Variant original_variant(const Decoder& decoder) {
  return {"", std::make_unique<NeuronHook>(), nullptr, &decoder};
}

Variant set_variant(const Decoder& decoder, const NeuronSet& set, const Mode& mode,
                    const References& references, std::string name) {
  Variant variant = original_variant(decoder);
  variant.name = std::move(name);
  const ReferenceActivations* reference =
      mode.texts == Mode::Texts::kOwn ? references.own : references.unrelated;
  switch (mode.change) {
    case Mode::Change::kScale: variant.hook = std::make_unique<SetHook>(set, mode.factor); break;
    case Mode::Change::kMean:
      TN_CHECK(reference != nullptr);
      variant.hook = std::make_unique<MeanHook>(set, *reference);
      break;
    case Mode::Change::kResample:
      TN_CHECK(reference != nullptr);
      variant.hook = std::make_unique<ResampleHook>(set, *reference, references.seed);
      break;
    case Mode::Change::kParameter:
      variant.changed = std::make_unique<Decoder>(decoder.with_zeroed(set.units()));
      variant.decoder = variant.changed.get();
  }
  return variant;
}

}  // namespace taskneuron
