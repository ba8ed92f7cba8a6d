#include "taskneuron/recipe/inspect.h"

#include <fmt/format.h>

#include "cli/command.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/memory.h"
#include "taskneuron/model/site.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  InspectOptions inspect;
};

// That this model has.
std::vector<Site> sites_of(const ModelConfig& config) {
  std::vector<Site> sites;
  for (const Site site : kAllSites) {
    if (site != Site::kGate || config.gated) sites.push_back(site);
  }
  return sites;
}

OutputJson result_json(const InspectResult& found, const InspectOptions& options) {
  const ModelConfig& config = found.config;
  OutputJson json = model_json(options.model.model, found.folder);
  json.update({{"hash", found.hash},
               {"model_type", config.model_type},
               {"parameters", found.parameters},
               {"weight_bytes", found.weight_bytes},
               {"layers", config.layers},
               {"hidden", config.hidden},
               {"ffn_width", config.ffn_width},
               {"gated", config.gated},
               {"experts", config.mixture.experts},
               {"experts_per_token", config.mixture.per_token},
               {"heads", config.heads},
               {"kv_heads", config.kv_heads},
               {"vocabulary", config.vocabulary},
               {"context", config.max_positions},
               {"compute_dtype", dtype_name(found.dtype)}});
  for (const Site site : sites_of(config)) {
    json["units"][site_name(site)] = site_shape(config, site).units();
  }
  json["memory_bytes"] = {{"converted_weights", found.memory.converted_weights},
                          {"packed_weights", found.memory.packed_weights},
                          {"evaluate", found.memory.evaluate},
                          {"detect", found.memory.detect},
                          {"detect_recomputing", found.memory.detect_recomputing},
                          {"batch_tokens", options.batch_tokens}};
  return json;
}

void print(const InspectResult& found, const InspectOptions& options) {
  const ModelConfig& config = found.config;
  fmt::print("{}: {}, {} parameters, {} of weights\n", options.model.model, config.model_type,
             found.parameters, format_bytes(found.weight_bytes));
  fmt::print("{} layers, d = {}, F = {}{}, {} heads ({} for keys), vocabulary {}, context {}\n",
             config.layers, config.hidden, config.ffn_width, config.gated ? " (gated)" : "",
             config.heads, config.kv_heads, config.vocabulary, config.max_positions);
  if (config.mixture.experts > 1) {
    fmt::print("{} experts of {} units in each layer, {} for each token\n", config.mixture.experts,
               config.expert_width(), config.mixture.per_token);
  }
  fmt::print("weights hash {}\n\n", found.hash);
  Table sites({"site", "layers", "width", "units"});
  for (const Site site : sites_of(config)) {
    const SiteShape shape = site_shape(config, site);
    sites.add({site_name(site), std::to_string(shape.layers), std::to_string(shape.width),
               std::to_string(shape.units())});
  }
  sites.print();
  fmt::print("\nMemory beyond the mapped weights, in {}, {} tokens per forward pass (estimated):\n",
             dtype_name(found.dtype), options.batch_tokens);
  const MemoryNeeded& needed = found.memory;
  Table memory({"for", "needs"});
  memory.add({"weights converted to the compute dtype", format_bytes(needed.converted_weights)});
  memory.add(
      {"weights in the layouts of the matrix products", format_bytes(needed.packed_weights)});
  memory.add({"evaluate, these included, one pass at a time", format_bytes(needed.evaluate)});
  memory.add({"detect, these included, one pass at a time", format_bytes(needed.detect)});
  memory.add({"detect, layers run twice (--memory)", format_bytes(needed.detect_recomputing)});
  memory.print();
}

void run(const Options& options) {
  options.common.apply();
  const InspectResult found = inspect(options.inspect);
  if (options.common.json) return print_json(result_json(found, options.inspect));
  print(found, options.inspect);
}

}  // namespace

void add_inspect(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command = add_command(app, "inspect", "Architecture, neurons per site, memory needed");
  add_options(*command, options->inspect, options->common);
  set_run(*command, "Example:\n  taskneuron inspect examples/models/mini",
          [options] { run(*options); });
}

}  // namespace taskneuron::cli
