#include "checkpoint/rotary_config.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

#include "checkpoint/config_fields.h"

namespace taskneuron {

namespace {

// Every kind follows transformers' modeling_rope_utils.py.

std::vector<double> plain_frequencies(const RotaryBase& base) {
  std::vector<double> frequency;
  for (std::int64_t i = 0; i < base.dims / 2; ++i) {
    frequency.push_back(
        std::pow(base.theta, -2.0 * static_cast<double>(i) / static_cast<double>(base.dims)));
  }
  return frequency;
}

double above_zero(const JsonView& json, const char* key) {
  const double value = json.at(key).number();
  if (!(value > 0)) json.at(key).fail(fmt::format("expected a number above 0, found {}", value));
  return value;
}

// Llama-3's stretching of low frequencies.
void scale_llama3(std::vector<double>& frequency, const JsonView& scaling) {
  const double factor = above_zero(scaling, "factor");
  const double low_factor = above_zero(scaling, "low_freq_factor");
  const double high_factor = above_zero(scaling, "high_freq_factor");
  const double old_context = above_zero(scaling, "original_max_position_embeddings");
  for (double& f : frequency) {
    const double wavelength = 2 * std::numbers::pi / f;
    if (wavelength > old_context / low_factor) {
      f /= factor;
    } else if (wavelength >= old_context / high_factor) {
      const double smooth = (old_context / wavelength - low_factor) / (high_factor - low_factor);
      f = (1 - smooth) * f / factor + smooth * f;
    }
  }
}

// The longest text that the model was trained on: in the scaling, beside it, or as long as any.
double original_positions(const JsonView& json, const JsonView& scaling,
                          const ModelConfig& config) {
  constexpr const char* kKey = "original_max_position_embeddings";
  if (scaling.find(kKey)) return above_zero(scaling, kKey);
  if (json.find(kKey)) return above_zero(json, kKey);
  return static_cast<double>(config.max_positions);
}

std::optional<double> number_if_there(const JsonView& json, const char* key) {
  if (!json.find(key)) return std::nullopt;
  return above_zero(json, key);
}

// By how much a context is stretched.
double stretch(const JsonView& scaling, double original, const ModelConfig& config) {
  return number_if_there(scaling, "factor")
      .value_or(static_cast<double>(config.max_positions) / original);
}

// YaRN (Peng et al. 2023): low frequencies are stretched, high ones stay, those between are mixed.
RotaryConfig yarn(const RotaryBase& base, const JsonView& json, const JsonView& scaling,
                  const ModelConfig& config) {
  const double original = original_positions(json, scaling, config);
  const double factor = stretch(scaling, original, config);
  const auto growth = [&](double weight) {
    return factor <= 1 ? 1.0 : 0.1 * weight * std::log(factor) + 1;
  };
  const auto mscale = number_if_there(scaling, "mscale");
  const auto mscale_all = number_if_there(scaling, "mscale_all_dim");
  RotaryConfig rotary;
  rotary.scale =
      number_if_there(scaling, "attention_factor")
          .value_or(mscale && mscale_all ? growth(*mscale) / growth(*mscale_all) : growth(1));
  const auto dims = static_cast<double>(base.dims);
  // The pair that turns so many times over the original context.
  const auto pair_turning = [&](double turns) {
    return dims * std::log(original / (turns * 2 * std::numbers::pi)) / (2 * std::log(base.theta));
  };
  double low = pair_turning(number_if_there(scaling, "beta_fast").value_or(32));
  double high = pair_turning(number_if_there(scaling, "beta_slow").value_or(1));
  if (scaling.boolean_or("truncate", true)) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dims - 1);
  if (low == high) high += 0.001;
  rotary.frequency = plain_frequencies(base);
  for (std::size_t i = 0; i < rotary.frequency.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    rotary.frequency[i] = rotary.frequency[i] / factor * ramp + rotary.frequency[i] * (1 - ramp);
  }
  return rotary;
}

std::vector<double> divided(std::vector<double> frequency, const JsonView& factors) {
  const std::vector<JsonView> listed = factors.array();
  if (listed.size() != frequency.size()) {
    factors.fail(fmt::format("expected {} factors, one of each pair of dimensions, found {}",
                             frequency.size(), listed.size()));
  }
  for (std::size_t i = 0; i < listed.size(); ++i) {
    const double factor = listed[i].number();
    if (!(factor > 0)) listed[i].fail(fmt::format("expected a number above 0, found {}", factor));
    frequency[i] /= factor;
  }
  return frequency;
}

// LongRoPE (Ding et al. 2024): a factor for each pair, others for texts beyond the original
// context.
RotaryConfig longrope(const RotaryBase& base, const JsonView& json, const JsonView& scaling,
                      const ModelConfig& config) {
  const double original = original_positions(json, scaling, config);
  const double factor = stretch(scaling, original, config);
  RotaryConfig rotary;
  rotary.frequency = divided(plain_frequencies(base), scaling.at("short_factor"));
  rotary.long_frequency = divided(plain_frequencies(base), scaling.at("long_factor"));
  rotary.short_positions =
      static_cast<std::int64_t>(std::min(original, static_cast<double>(config.max_positions)));
  rotary.scale =
      number_if_there(scaling, "attention_factor")
          .value_or(factor <= 1 ? 1.0 : std::sqrt(1 + std::log(factor) / std::log(original)));
  return rotary;
}

void require_finite(const RotaryConfig& rotary, const JsonView& where) {
  const auto fine = [](double f) { return std::isfinite(f) && f >= 0; };
  if (!std::all_of(rotary.frequency.begin(), rotary.frequency.end(), fine) ||
      !std::all_of(rotary.long_frequency.begin(), rotary.long_frequency.end(), fine) ||
      !(rotary.scale > 0 && rotary.scale < 1e3)) {
    where.fail("scales a rotation beyond all numbers");
  }
}

}  // namespace

RotaryConfig scaled_rotary(const RotaryBase& base, const JsonView* scaling,
                           const ModelConfig& config, const JsonView& json) {
  if (!(base.theta > 0)) {
    json.fail(fmt::format("rope theta must be positive, found {}", base.theta));
  }
  if (base.dims <= 0 || base.dims % 2 != 0) {
    json.fail(fmt::format("rotary embedding over {} dimensions is not supported", base.dims));
  }
  RotaryConfig rotary;
  rotary.frequency = plain_frequencies(base);
  if (scaling == nullptr) {
    require_finite(rotary, json);
    return rotary;
  }
  std::string kind = scaling->string_or("rope_type", scaling->string_or("type", "default"));
  if (kind == "su" || (kind == "yarn" && base.yarn_is_longrope)) kind = "longrope";
  if (kind == "llama3") {
    scale_llama3(rotary.frequency, *scaling);
  } else if (kind == "linear") {
    for (double& f : rotary.frequency) f /= above_zero(*scaling, "factor");
  } else if (kind == "yarn") {
    rotary = yarn(base, json, *scaling, config);
  } else if (kind == "longrope") {
    rotary = longrope(base, json, *scaling, config);
  } else if (kind == "dynamic") {
    // Stretches by the length of a text beyond max_position_embeddings, and no text here is longer.
    above_zero(*scaling, "factor");
  } else if (kind != "default") {
    unsupported(*scaling, fmt::format("rope type '{}'", kind));
  }
  require_finite(rotary, *scaling);
  return rotary;
}

RotaryConfig read_rotary(const JsonView& json, const ModelConfig& config,
                         const RotaryFields& fields) {
  const auto parameters = json.find("rope_parameters");
  const auto read = [&](const char* newer, const char* older, double fallback) {
    if (parameters && parameters->find(newer)) return parameters->at(newer).number();
    return json.number_or(newer, json.number_or(older, fallback));
  };
  RotaryBase base;
  base.yarn_is_longrope = fields.yarn_is_longrope;
  base.theta = read("rope_theta", fields.theta, fields.default_theta);
  const double share = read("partial_rotary_factor", fields.share, fields.default_share);
  if (!(share > 0 && share <= 1)) {
    json.fail(fmt::format("rotary share must be in (0, 1], found {}", share));
  }
  base.dims = static_cast<std::int64_t>(static_cast<double>(config.head_dim) * share);
  const auto scaling = parameters ? parameters : json.find("rope_scaling");
  return scaled_rotary(base, scaling ? &*scaling : nullptr, config, json);
}

}  // namespace taskneuron
