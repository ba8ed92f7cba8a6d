#include "cli/set_output.h"

#include <fmt/format.h>

#include "cli/command.h"

namespace taskneuron::cli {

namespace {

std::string layer_profile(const NeuronSet::SiteUnits& units) {
  std::string text;
  for (const auto& layer : units.units)
    text += fmt::format("{}{}", text.empty() ? "" : " ", layer.size());
  return text;
}

}  // namespace

void print_sets(const std::vector<SelectedSet>& sets, bool as_json) {
  OutputJson json = OutputJson::array();
  Table table({"set", "site", "units", "of", "per layer"});
  for (const SelectedSet& one : sets) {
    OutputJson entry = {{"out", one.path}, {"units", one.set.size()}, {"from", one.set.from}};
    for (const auto& [site, units] : one.set.sites) {
      entry["sites"][site_name(site)] = units.size();
      table.add({one.path, site_name(site), std::to_string(units.size()),
                 std::to_string(units.shape().units()), layer_profile(units)});
    }
    json.push_back(entry);
  }
  if (!as_json) return table.print();
  print_json(json.size() == 1 ? json[0] : json);
}

}  // namespace taskneuron::cli
