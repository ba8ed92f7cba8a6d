#include "taskneuron/recipe/select.h"

#include <fmt/format.h>

#include "cli/command.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  SelectOptions select;
};

std::string layer_profile(const NeuronSet::SiteUnits& units) {
  std::string text;
  for (const auto& layer : units.units)
    text += fmt::format("{}{}", text.empty() ? "" : " ", layer.size());
  return text;
}

void run(const Options& options) {
  options.common.apply();
  OutputJson json = OutputJson::array();
  Table table({"set", "site", "units", "of", "per layer"});
  for (const SelectedSet& one : select(options.select)) {
    OutputJson entry = {{"out", one.path}, {"units", one.set.size()}, {"from", one.set.from}};
    for (const auto& [site, units] : one.set.sites) {
      entry["sites"][site_name(site)] = units.size();
      table.add({one.path, site_name(site), std::to_string(units.size()),
                 std::to_string(units.shape().units()), layer_profile(units)});
    }
    json.push_back(entry);
  }
  if (!options.common.json) return table.print();
  print_json(json.size() == 1 ? json[0] : json);
}

}  // namespace

void add_select(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("select", "The most relevant units, or random ones, as a set");
  add_options(*command, options->select, options->common);
  command->footer(
      std::string(
          "Examples:\n  taskneuron select scitail.safetensors --top 10% --out scitail.json\n"
          "  taskneuron select --random 5 --like scitail.json --out random") +
      kTermsFooter);
  command->callback([options] { run(*options); });
}

}  // namespace taskneuron::cli
