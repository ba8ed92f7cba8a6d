#include "taskneuron/checkpoint/model_config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/json.h"
#include "checkpoint/config_fields.h"
#include "checkpoint/families.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

const std::vector<Family>& families() {
  static const std::vector<Family> all = [] {
    std::vector<Family> result = gpt_families();
    for (const auto& more : {llama_families(), gemma_families()}) {
      result.insert(result.end(), more.begin(), more.end());
    }
    return result;
  }();
  return all;
}

// What a file says of its layers beside what its family reads.
void check_layer_types(const JsonView& json, const ModelConfig& config) {
  const auto types = json.find("layer_types");
  if (!types) return;
  const std::vector<JsonView> listed = types->array();
  for (std::size_t l = 0; l < listed.size() && l < config.each_layer.size(); ++l) {
    const bool sliding = config.each_layer[l].sliding_window.has_value();
    if (listed[l].string() != (sliding ? "sliding_attention" : "full_attention")) {
      unsupported(listed[l], fmt::format("'{}' here", listed[l].string()));
    }
  }
}

void read_end_of_sequence(ModelConfig& config, const JsonView& json) {
  const auto field = json.find("eos_token_id");
  if (!field) return;
  if (field->value().is_array()) {
    for (const JsonView& id : field->array()) config.end_of_sequence.push_back(id.integer());
  } else {
    config.end_of_sequence.push_back(field->integer());
  }
}

ModelConfig config_of(const JsonView& json) {
  ModelConfig config;
  config.model_type = json.at("model_type").string();
  for (const Family& family : families()) {
    if (config.model_type != family.model_type) continue;
    if (json.find("quantization_config")) unsupported(json, "a quantized checkpoint");
    config.vocabulary = positive(json, "vocab_size");
    family.read(config, json);
    if (config.embedding_width == 0) config.embedding_width = config.hidden;
    config.dtype = json.string_or("torch_dtype", json.string_or("dtype", ""));
    read_end_of_sequence(config, json);
    check_layer_types(json, config);
    return config;
  }
  json.fail(fmt::format("model_type '{}' is not supported; supported are {}", config.model_type,
                        fmt::join(supported_model_types(), ", ")));
}

}  // namespace

std::vector<std::string> supported_model_types() {
  std::vector<std::string> names;
  for (const Family& family : families()) names.emplace_back(family.model_type);
  return names;
}

ModelConfig read_model_config(const std::filesystem::path& config_json) {
  const Json document = read_json(config_json);
  return config_of(JsonView(document, config_json.string()));
}

ModelConfig parse_model_config(std::string_view config_json, const std::string& where) {
  const Json document = parse_json(config_json, where);
  return config_of(JsonView(document, where));
}

}  // namespace taskneuron
