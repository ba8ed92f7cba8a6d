#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "taskneuron/checkpoint/model_config.h"

namespace taskneuron {

// Where the output ω of a unit is read (method, "Sites").
enum class Site {
  kAct,   // input of the FFN's output projection
  kUp,    // x W1 + b1 before f; gated: x Wu
  kGate,  // x Wg, gated models only
  kOut,   // output of the FFN, one unit per hidden dimension
};

inline constexpr std::array kAllSites = {Site::kAct, Site::kUp, Site::kGate, Site::kOut};

// "act", "up", "gate", "out".
const char* site_name(Site site);
// Throws Error for any other name.
Site parse_site(const std::string& name);
// Sites by name, ascending; "paper" is act and out. Throws UsageError for another name.
std::vector<Site> parse_sites(const std::vector<std::string>& names);

// Units of one site: `layers` x `width`.
struct SiteShape {
  std::int64_t layers = 0;
  std::int64_t width = 0;
  std::int64_t units() const { return layers * width; }
  bool operator==(const SiteShape&) const = default;
};

// Throws Error for Site::kGate of a model whose FFN is not gated.
SiteShape site_shape(const ModelConfig& config, Site site);

// One unit of one site.
struct NeuronId {
  std::int64_t layer = 0;
  std::int64_t unit = 0;
  auto operator<=>(const NeuronId&) const = default;
};

}  // namespace taskneuron
