#include "cli/set_output.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>

#include "cli/command.h"

namespace taskneuron::cli {

namespace {

std::string layer_profile(const NeuronSet::SiteUnits& units) {
  std::string text;
  for (const auto& layer : units.units)
    text += fmt::format("{}{}", text.empty() ? "" : " ", layer.size());
  return text;
}

// Of how many experts the units of a site are: those of a mixture of experts are in equal parts.
std::int64_t experts_of(const NeuronSet& set, Site site) {
  const auto known = set.from.find("experts");
  if (known == set.from.end() || site == Site::kOut) return 1;
  std::int64_t experts = 1;
  const char* end = known->second.data() + known->second.size();
  const auto parsed = std::from_chars(known->second.data(), end, experts);
  const std::int64_t width = set.sites.at(site).width;
  constexpr std::int64_t kMost = 4096;  // that any model has
  const bool fits =
      parsed.ec == std::errc() && parsed.ptr == end && experts > 0 && experts <= kMost;
  return fits && width % experts == 0 ? experts : 1;
}

// How many of each expert's units are in a layer's.
std::vector<std::int64_t> by_expert(const std::vector<std::int64_t>& units, std::int64_t width,
                                    std::int64_t experts) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(experts));
  for (const std::int64_t unit : units)
    ++counts[static_cast<std::size_t>(unit / (width / experts))];
  return counts;
}

}  // namespace

void print_sets(const std::vector<SelectedSet>& sets, bool as_json) {
  OutputJson json = OutputJson::array();
  Table table({"set", "site", "units", "of", "per layer"});
  Table experts_table({"set", "site", "layer", "units per expert"});
  bool mixture = false;
  for (const SelectedSet& one : sets) {
    OutputJson entry = {{"out", one.path}, {"units", one.set.size()}, {"from", one.set.from}};
    for (const auto& [site, units] : one.set.sites) {
      entry["sites"][site_name(site)] = units.size();
      table.add({one.path, site_name(site), std::to_string(units.size()),
                 std::to_string(units.shape().units()), layer_profile(units)});
      const std::int64_t experts = experts_of(one.set, site);
      if (experts == 1) continue;
      mixture = true;
      OutputJson& layers = entry["units_per_expert"][site_name(site)];
      for (std::size_t l = 0; l < units.units.size(); ++l) {
        if (units.units[l].empty()) continue;
        const std::vector<std::int64_t> counts = by_expert(units.units[l], units.width, experts);
        layers[std::to_string(l)] = counts;
        experts_table.add({one.path, site_name(site), std::to_string(l),
                           fmt::format("{}", fmt::join(counts, " "))});
      }
    }
    json.push_back(entry);
  }
  if (!as_json) {
    table.print();
    if (mixture) fmt::print("\n");
    if (mixture) experts_table.print();
    return;
  }
  print_json(json.size() == 1 ? json[0] : json);
}

}  // namespace taskneuron::cli
