#include "taskneuron/model/unit_parameters.h"

#include <algorithm>
#include <iterator>

#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

using Units = std::vector<std::int64_t>;

Units joined(const Units& a, const Units& b) {
  Units result;
  std::set_union(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(result));
  return result;
}

}  // namespace

Units owned_units(const UnitsBySite& sites, std::size_t layer, OwnedPart part) {
  const auto units = [&](Site site) {
    const auto found = sites.find(site);
    const bool there = found != sites.end() && layer < found->second.size();
    return there ? found->second[layer] : Units();
  };
  const bool literal = sites.count(Site::kAct) != 0 && sites.count(Site::kOut) != 0;
  switch (part) {
    case OwnedPart::kGateOutputs: return joined(units(Site::kAct), units(Site::kGate));
    case OwnedPart::kUpOutputs: return joined(units(Site::kAct), units(Site::kUp));
    case OwnedPart::kDownOutputs: return units(Site::kOut);
    case OwnedPart::kDownInputs: return literal ? Units() : units(Site::kAct);
  }
  TN_CHECK(false);
}

Units owned_units(const UnitsBySite& sites, std::size_t layer, OwnedPart part,
                  const UnitRange& expert) {
  const Units all = owned_units(sites, layer, part);
  if (part == OwnedPart::kDownOutputs) return all;
  const auto begin = std::lower_bound(all.begin(), all.end(), expert.first);
  const auto end = std::lower_bound(begin, all.end(), expert.first + expert.count);
  Units result(begin, end);
  for (std::int64_t& unit : result) unit -= expert.first;
  return result;
}

}  // namespace taskneuron
