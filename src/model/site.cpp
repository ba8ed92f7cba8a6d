#include "taskneuron/model/site.h"

#include <fmt/format.h>

#include "taskneuron/base/error.h"

namespace taskneuron {

const char* site_name(Site site) {
  switch (site) {
    case Site::kAct: return "act";
    case Site::kUp: return "up";
    case Site::kGate: return "gate";
    case Site::kOut: return "out";
  }
  TN_CHECK(false);
}

Site parse_site(const std::string& name) {
  for (const Site site : kAllSites) {
    if (name == site_name(site)) return site;
  }
  throw Error(fmt::format("site '{}' is unknown; sites are act, up, gate and out", name));
}

SiteShape site_shape(const ModelConfig& config, Site site) {
  if (site == Site::kGate && !config.gated) {
    throw Error(fmt::format("site gate: the FFN of a '{}' model has no gate; use act, up or out",
                            config.model_type));
  }
  return {config.layers, site == Site::kOut ? config.hidden : config.ffn_width};
}

}  // namespace taskneuron
