#include "cli/command.h"
#include "cli/overlap_output.h"

namespace taskneuron::cli {

namespace {

void add_counts(const SetComparison& overlap, OutputJson& json) {
  json.update({{"first", overlap.first},
               {"second", overlap.second},
               {"common", overlap.common},
               {"union", overlap.in_any},
               {"jaccard", overlap.jaccard},
               {"expected", overlap.expected_jaccard},
               {"expected_common", overlap.expected_common},
               {"expected_jaccard", overlap.expected_jaccard},
               {"ratio", or_null(overlap.ratio)},
               {"p", overlap.p}});
}

OutputJson layers_json(const std::vector<OverlapLayer>& layers) {
  OutputJson json = OutputJson::array();
  for (const OverlapLayer& layer : layers) {
    OutputJson entry = {{"site", site_name(layer.found.site)}, {"layer", layer.found.layer}};
    add_counts(layer.found.overlap, entry);
    entry["p_adjusted"] = layer.p_adjusted;
    json.push_back(entry);
  }
  return json;
}

OutputJson pair_json(const OverlapPair& pair, const std::string& top) {
  OutputJson json = {{"a", pair.a}, {"b", pair.b}};
  if (pair.relevance) {
    json.update({{"top", top},
                 {"pearson", pair.relevance->pearson},
                 {"spearman", pair.relevance->spearman}});
  }
  add_counts(pair.overlap, json);
  json["p_adjusted"] = pair.p_adjusted;
  if (pair.independent) {
    json["independent"] = {{"expected_common", pair.independent->expected_common},
                           {"expected_jaccard", pair.independent->expected_jaccard},
                           {"ratio", or_null(pair.independent->ratio)},
                           {"p", pair.independent->p},
                           {"p_adjusted", *pair.independent_p_adjusted},
                           {"draws", pair.independent->draws}};
  }
  if (!pair.layers.empty()) json["layers"] = layers_json(pair.layers);
  return json;
}

OutputJson together_json(const JointOverlap& joint, std::size_t sets) {
  return {{"sets", sets},
          {"common", joint.common},
          {"in_any", joint.in_any},
          {"expected_common", joint.expected_common},
          {"expected_in_any", joint.expected_in_any},
          {"ratio", or_null(joint.ratio)},
          {"p", joint.p}};
}

OutputJson layers_json(const UnitsPerLayer& layers) {
  OutputJson json;
  for (const auto& [site, units] : layers) json[site_name(site)] = units;
  return json;
}

void add_core(const SharedCore& found, const std::vector<std::string>& names, OutputJson& json) {
  json["core"] = OutputJson::array();
  for (const CoreUnits& core : found.core) {
    json["core"].push_back({{"at_least", core.m},
                            {"units", core.units},
                            {"expected", core.expected},
                            {"ratio", or_null(core.ratio)},
                            {"p", core.p},
                            {"layers", layers_json(core.layers)}});
  }
  json["core_draws"] = found.draws;
  json["private"] = OutputJson::array();
  for (std::size_t s = 0; s < names.size(); ++s) {
    const PrivateUnits& privates = found.privates[s];
    json["private"].push_back({{"set", names[s]},
                               {"units", privates.units},
                               {"expected", privates.expected},
                               {"ratio", or_null(privates.ratio)},
                               {"layers", layers_json(privates.layers)}});
  }
}

OutputJson trees_json(const std::vector<OverlapTree>& trees,
                      const std::vector<std::string>& names) {
  OutputJson json = OutputJson::array();
  for (const OverlapTree& tree : trees) {
    OutputJson merges = OutputJson::array();
    for (const Merge& merge : tree.merges) {
      merges.push_back({{"left", merge.left},
                        {"right", merge.right},
                        {"height", merge.height},
                        {"sets", merge.items}});
    }
    json.push_back({{"distance", tree.distance},
                    {"linkage", "average"},
                    {"sets", names},
                    {"merges", merges},
                    {"newick", newick(tree.merges, names)}});
  }
  return json;
}

void add_group(const OverlapGroup& group, const std::vector<std::string>& names, OutputJson& json) {
  if (group.together) json["together"] = together_json(*group.together, names.size());
  if (group.core) add_core(*group.core, names, json);
  if (!group.trees.empty()) json["clusters"] = trees_json(group.trees, names);
}

}  // namespace

OutputJson overlap_json(const OverlapResult& found) {
  OutputJson json = {{"pairs", OutputJson::array()}};
  for (const OverlapGroup& group : found.groups) {
    for (const OverlapPair& pair : group.pairs) json["pairs"].push_back(pair_json(pair, group.top));
  }
  for (std::size_t i = 0; i < found.model_hashes.size(); ++i) {
    json["models"].push_back({{"set", found.names[i]}, {"model", found.model_hashes[i]}});
  }
  if (found.groups.size() == 1) {
    add_group(found.groups.front(), found.names, json);
    return json;
  }
  for (const OverlapGroup& group : found.groups) {
    OutputJson entry = {{"top", group.top}};
    add_group(group, found.names, entry);
    if (entry.size() > 1) json["per_top"].push_back(entry);
  }
  return json;
}

}  // namespace taskneuron::cli
