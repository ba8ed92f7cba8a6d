#include "taskneuron/model/site.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

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

std::vector<Site> parse_sites(const std::vector<std::string>& names) {
  std::set<Site> sites;
  for (const std::string& name : names) {
    if (name == "paper") {
      sites.insert({Site::kAct, Site::kOut});
      continue;
    }
    const auto found = std::find_if(kAllSites.begin(), kAllSites.end(),
                                    [&](Site site) { return name == site_name(site); });
    if (found == kAllSites.end()) {
      throw UsageError("site", name, "act, up, gate and out, or the preset paper");
    }
    sites.insert(*found);
  }
  return {sites.begin(), sites.end()};
}

SiteShape site_shape(const ModelConfig& config, Site site) {
  if (site == Site::kGate && !config.gated) {
    throw Error(fmt::format("site gate: the FFN of a '{}' model has no gate; use act, up or out",
                            config.model_type));
  }
  return {config.layers, site == Site::kOut ? config.hidden : config.ffn_width};
}

}  // namespace taskneuron
