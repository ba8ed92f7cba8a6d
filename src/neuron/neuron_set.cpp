#include "taskneuron/neuron/neuron_set.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"
#include "base/torch_compat.h"
#include "base/world.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/version.h"

namespace taskneuron {

namespace {

constexpr const char* kFormat = "taskneuron.set/1";
constexpr std::size_t kMostLayers = 1 << 14;
constexpr std::int64_t kWidestLayer = 1 << 24;  // what bitmaps of any file may take

// Sets hold hundreds of thousands of ids: a view of one, which knows its place, is made where it is
// wrong.
std::vector<std::int64_t> read_units(const JsonView& json, std::int64_t width) {
  const Json& list = json.value();
  if (!list.is_array()) json.array();
  std::vector<std::int64_t> units;
  units.reserve(list.size());
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto place = [&] { return JsonView(list[i], fmt::format("{}[{}]", json.where(), i)); };
    const std::int64_t unit =
        list[i].is_number_integer() ? list[i].get<std::int64_t>() : place().integer();
    if (unit < 0 || unit >= width) {
      place().integer();  // refuses what no integer of ours can hold
      place().fail(fmt::format("unit {} is out of range; the width is {}", unit, width));
    }
    if (!units.empty() && unit <= units.back()) {
      place().fail(
          unit == units.back()
              ? fmt::format("unit {} is there twice; unit ids must ascend", unit)
              : fmt::format("unit {} comes after {}; unit ids must ascend", unit, units.back()));
    }
    units.push_back(unit);
  }
  return units;
}

Site site_of(const JsonView& json, const std::string& name) {
  try {
    return parse_site(name);
  } catch (const Error& error) {
    json.at("sites").fail(error.what());
  }
}

// What a later version may have added could change what the set means.
void require_known_keys(const JsonView& json) {
  for (const auto& item : json.object().items()) {
    const std::string& key = item.key();
    if (key == "format" || key == "model" || key == "sites" || key == "width" || key == "from") {
      continue;
    }
    const auto from = json.find("from");
    json.fail(
        fmt::format("holds '{}', which taskneuron {} does not know; it was written by version {}",
                    key, version(), from ? from->string_or("version", "(unknown)") : "(unknown)"));
  }
}

}  // namespace

std::int64_t NeuronSet::SiteUnits::size() const {
  std::int64_t count = 0;
  for (const auto& layer : units) count += static_cast<std::int64_t>(layer.size());
  return count;
}

UnitsBySite NeuronSet::units() const {
  UnitsBySite result;
  for (const auto& [site, one] : sites) result[site] = one.units;
  return result;
}

std::int64_t NeuronSet::size() const {
  std::int64_t count = 0;
  for (const auto& item : sites) count += item.second.size();
  return count;
}

NeuronSet load_set(const std::filesystem::path& path) {
  require_same_file(path.string());
  const Json document = read_json(path);
  const JsonView json(document, path.string());
  if (json.object().count("format") == 0) {
    json.fail("key 'format' is missing; expected a set, made by select or sets");
  }
  const std::string format = json.at("format").string();
  if (format != kFormat) json.fail(fmt::format("format '{}' is not '{}'", format, kFormat));
  require_known_keys(json);
  NeuronSet set;
  set.model_hash = json.at("model").string();
  for (const auto& item : json.at("sites").object().items()) {
    NeuronSet::SiteUnits& units = set.sites[site_of(json, item.key())];
    const JsonView width = json.at("width").at(item.key());
    units.width = width.integer();
    if (units.width < 1 || units.width > kWidestLayer) {
      width.fail(fmt::format("width {} is out of range, 1 to {}", units.width, kWidestLayer));
    }
    const JsonView layers = json.at("sites").at(item.key());
    if (layers.value().size() > kMostLayers) {
      layers.fail(
          fmt::format("has {} layers; at most {} are read", layers.value().size(), kMostLayers));
    }
    for (const JsonView& layer : layers.array()) {
      units.units.push_back(read_units(layer, units.width));
    }
    if (units.units.size() != set.sites.begin()->second.units.size()) {
      json.fail(fmt::format("site {} has {} layers, site {} has {}", item.key(), units.units.size(),
                            site_name(set.sites.begin()->first),
                            set.sites.begin()->second.units.size()));
    }
  }
  if (set.sites.empty()) json.at("sites").fail("names no site");
  if (const auto from = json.find("from")) {
    for (const auto& item : from->object().items()) {
      set.from[item.key()] =
          JsonView(item.value(), from->where() + " '" + item.key() + "'").string();
    }
  }
  return set;
}

void save_set(const NeuronSet& set, const std::filesystem::path& path) {
  OutputJson json;
  json["format"] = kFormat;
  json["model"] = set.model_hash;
  for (const auto& [site, units] : set.sites) {
    json["sites"][site_name(site)] = units.units;
    json["width"][site_name(site)] = units.width;
  }
  json["from"] = set.from;
  write_file(path, json_text(json) + "\n");
}

void require_fit(const NeuronSet& set, const ModelConfig& config, const std::string& model_hash,
                 OtherWeights other_weights, const std::string& where) {
  for (const auto& [site, units] : set.sites) {
    const SiteShape model = site_shape(config, site);
    if (units.shape() != model) {
      throw Error(fmt::format("{}: site {} has {} layers of {} units, the model {} of {}", where,
                              site_name(site), units.units.size(), units.width, model.layers,
                              model.width));
    }
  }
  if (set.model_hash != model_hash && other_weights == OtherWeights::kRefuse) {
    throw Error(
        fmt::format("{}: was made for a model with other weights ({:.19}..., this one is "
                    "{:.19}...); `allow_other_weights` uses it all the same",
                    where, set.model_hash, model_hash));
  }
}

SetHook::SetHook(const NeuronSet& set, double factor) {
  for (const auto& [site, units] : set.sites) {
    std::vector<at::Tensor>& factors = factors_[site];
    for (const auto& layer : units.units) {
      at::Tensor& tensor = factors.emplace_back();
      if (layer.empty()) continue;
      tensor = at::ones({units.width}, at::kFloat);
      tensor.index_fill_(0, at::tensor(layer, at::kLong), factor);
    }
  }
}

at::Tensor SetHook::scale(Site site, std::int64_t layer) const {
  const auto found = factors_.find(site);
  return found == factors_.end() ? at::Tensor() : found->second.at(static_cast<std::size_t>(layer));
}

}  // namespace taskneuron
