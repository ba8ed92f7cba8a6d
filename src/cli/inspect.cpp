#include <fmt/format.h>

#include <algorithm>

#include "cli/command.h"
#include "model/memory.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/memory.h"

namespace taskneuron::cli {

namespace {

struct Options {
  CommonOptions common;
  ModelOptions model;
  std::int64_t batch_tokens = 2048;

  void declare(OptionList& list) {
    model.declare(list);
    list.add("batch_tokens", &batch_tokens, Effect::kNone, "Tokens per forward pass").at_least(1);
  }
};

// For texts of a typical length with short answers.
PassShape typical_pass(const ModelConfig& config, std::int64_t tokens) {
  PassShape shape;
  shape.rows = tokens;
  shape.longest = std::min<std::int64_t>({256, config.max_positions, tokens});
  shape.examples = std::max<std::int64_t>(1, tokens / shape.longest);
  shape.logit_rows = 8 * shape.examples;
  return shape;
}

void run(const Options& options) {
  options.common.apply();
  const ModelFolder found = find_model(options.model.model);
  const Checkpoint checkpoint = with_deltas(Checkpoint(found.path), options.model.deltas);
  const ModelConfig& config = checkpoint.config();
  const at::Device device = parse_device(options.model.device);
  const at::ScalarType dtype = choose_dtype(options.model.dtype, checkpoint, device);
  const std::int64_t parameters = checkpoint.parameters();
  const MemoryModel model(checkpoint, {dtype, device});
  const PassShape batch = typical_pass(config, options.batch_tokens);
  const std::int64_t weights = model.converted_weights() + model.packed_weights();
  const std::int64_t evaluate = weights + model.pass(Pass::kForward, batch);
  const std::int64_t detect = weights + model.pass(Pass::kBackward, batch);
  const std::int64_t least = weights + model.pass(Pass::kRecomputed, batch);
  OutputJson json = model_json(options.model.model, found);
  json["hash"] = checkpoint.hash();
  json["model_type"] = config.model_type;
  json["parameters"] = parameters;
  json["weight_bytes"] = checkpoint.tensor_bytes();
  json["layers"] = config.layers;
  json["hidden"] = config.hidden;
  json["ffn_width"] = config.ffn_width;
  json["gated"] = config.gated;
  json["heads"] = config.heads;
  json["kv_heads"] = config.kv_heads;
  json["vocabulary"] = config.vocabulary;
  json["context"] = config.max_positions;
  json["compute_dtype"] = dtype_name(dtype);
  for (const Site site : kAllSites) {
    if (site == Site::kGate && !config.gated) continue;
    json["units"][site_name(site)] = site_shape(config, site).units();
  }
  json["memory_bytes"] = {{"converted_weights", model.converted_weights()},
                          {"packed_weights", model.packed_weights()},
                          {"evaluate", evaluate},
                          {"detect", detect},
                          {"detect_recomputing", least},
                          {"batch_tokens", options.batch_tokens}};
  if (options.common.json) return print_json(json);

  fmt::print("{}: {}, {} parameters, {} of weights\n", options.model.model, config.model_type,
             parameters, format_bytes(checkpoint.tensor_bytes()));
  fmt::print("{} layers, d = {}, F = {}{}, {} heads ({} for keys), vocabulary {}, context {}\n",
             config.layers, config.hidden, config.ffn_width, config.gated ? " (gated)" : "",
             config.heads, config.kv_heads, config.vocabulary, config.max_positions);
  fmt::print("weights hash {}\n\n", checkpoint.hash());
  Table sites({"site", "layers", "width", "units"});
  for (const Site site : kAllSites) {
    if (site == Site::kGate && !config.gated) continue;
    const SiteShape shape = site_shape(config, site);
    sites.add({site_name(site), std::to_string(shape.layers), std::to_string(shape.width),
               std::to_string(shape.units())});
  }
  sites.print();
  fmt::print("\nMemory beyond the mapped weights, in {}, {} tokens per forward pass (estimated):\n",
             dtype_name(dtype), options.batch_tokens);
  Table memory({"for", "needs"});
  memory.add({"weights converted to the compute dtype", format_bytes(model.converted_weights())});
  memory.add(
      {"weights in the layouts of the matrix products", format_bytes(model.packed_weights())});
  memory.add({"evaluate, these included, one pass at a time", format_bytes(evaluate)});
  memory.add({"detect, these included, one pass at a time", format_bytes(detect)});
  memory.add({"detect, layers run twice (--memory)", format_bytes(least)});
  memory.print();
}

}  // namespace

void add_inspect(CLI::App& app) {
  auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("inspect", "Architecture, neurons per site, memory needed");
  add_options(*command, *options);
  options->common.add_to(*command);
  command->footer("Example:\n  taskneuron inspect examples/models/mini");
  command->callback([options] { run(*options); });
}

}  // namespace taskneuron::cli
