#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/plain_name.h"
#include "cli/command.h"
#include "cli/overlap_output.h"
#include "cli/provenance.h"

namespace taskneuron::cli {

namespace {

std::string decimals(double value) { return fmt::format("{:.4f}", value); }

// Of relevance that is the same for all units there is none.
std::string correlation_text(double value) { return std::isfinite(value) ? decimals(value) : "–"; }

std::string ratio_text(const std::optional<double>& ratio) {
  return ratio ? fmt::format("{:.2f}", *ratio) : "–";
}

// A number of units that is expected.
std::string expected_text(double units) {
  return units > 0 && units < 0.05 ? fmt::format("{:.1g}", units) : fmt::format("{:.1f}", units);
}

std::string common_text(const SetComparison& overlap) {
  return fmt::format("{} of {} and {}", overlap.common, overlap.first, overlap.second);
}

// One row a pair, or two: one a null that its overlap is held against.
class PairTable {
 public:
  explicit PairTable(const OverlapResult& found)
      : scores_(found.groups.front().pairs.front().relevance.has_value()), table_({}) {
    for (const OverlapPair& pair : found.groups.front().pairs) {
      unions_ = unions_ || pair.independent.has_value();
    }
    table_ = Table(header());
    for (const OverlapGroup& group : found.groups) {
      for (const OverlapPair& pair : group.pairs) add(group.top, pair);
    }
  }
  void print() const { table_.print(); }

 private:
  std::vector<std::string> header() const {
    std::vector<std::string> names = {"a", "b"};
    if (scores_) names.insert(names.end(), {"pearson", "spearman", "top"});
    names.insert(names.end(), {"common", "jaccard"});
    if (unions_) names.emplace_back("null");
    names.insert(names.end(), {"by chance", "ratio", "p", "p (BH)"});
    return names;
  }
  void add(const std::string& top, const OverlapPair& pair) {
    row(top, pair, "permuted",
        {decimals(pair.overlap.expected_jaccard), ratio_text(pair.overlap.ratio),
         p_text(pair.overlap.p), p_text(pair.p_adjusted)});
    if (!pair.independent) return;
    row(top, pair, "independent",
        {decimals(pair.independent->expected_jaccard), ratio_text(pair.independent->ratio),
         p_text(pair.independent->p), p_text(pair.independent_p_adjusted)});
  }
  void row(const std::string& top, const OverlapPair& pair, const char* null,
           const std::vector<std::string>& chance) {
    std::vector<std::string> cells = {pair.a, pair.b};
    if (scores_) {
      cells.push_back(correlation_text(pair.relevance->pearson));
      cells.push_back(correlation_text(pair.relevance->spearman));
      cells.push_back(top);
    }
    cells.push_back(common_text(pair.overlap));
    cells.push_back(decimals(pair.overlap.jaccard));
    if (unions_) cells.emplace_back(null);
    cells.insert(cells.end(), chance.begin(), chance.end());
    table_.add(cells);
  }

  bool scores_ = false;
  bool unions_ = false;
  Table table_;
};

void print_layers(const OverlapPair& pair, const std::string& top) {
  fmt::print("\n{} and {}{}, layer by layer\n", pair.a, pair.b, top.empty() ? "" : ", top " + top);
  Table table({"site", "layer", "common", "union", "jaccard", "by chance", "ratio", "p", "p (BH)"});
  for (const OverlapLayer& layer : pair.layers) {
    const SetComparison& overlap = layer.found.overlap;
    table.add({site_name(layer.found.site), std::to_string(layer.found.layer), common_text(overlap),
               std::to_string(overlap.in_any), decimals(overlap.jaccard),
               decimals(overlap.expected_jaccard), ratio_text(overlap.ratio), p_text(overlap.p),
               p_text(layer.p_adjusted)});
  }
  table.print();
}

// "act 3 0 1, out 2 2 2"; the site only where there are several.
std::string layers_text(const UnitsPerLayer& layers) {
  std::string text;
  for (const auto& [site, units] : layers) {
    if (layers.size() > 1) text += fmt::format("{}{} ", text.empty() ? "" : ", ", site_name(site));
    text += fmt::format("{}", fmt::join(units, " "));
  }
  return text;
}

void print_core(const SharedCore& found, const std::vector<std::string>& names) {
  fmt::print("\n");
  Table core({"in at least", "units", "by chance", "ratio", "p", "per layer"});
  for (const CoreUnits& one : found.core) {
    core.add({std::to_string(one.m), std::to_string(one.units), expected_text(one.expected),
              ratio_text(one.ratio), p_text(one.p), layers_text(one.layers)});
  }
  core.print();
  fmt::print("p: exact for all sets; else of {} draws, {} at least\n", found.draws,
             p_text(1 / static_cast<double>(found.draws + 1)));
  fmt::print("\n");
  Table privates({"only in", "units", "by chance", "ratio", "per layer"});
  for (std::size_t s = 0; s < names.size(); ++s) {
    const PrivateUnits& one = found.privates[s];
    privates.add({names[s], std::to_string(one.units), expected_text(one.expected),
                  ratio_text(one.ratio), layers_text(one.layers)});
  }
  privates.print();
}

void print_together(const JointOverlap& joint, std::size_t sets) {
  fmt::print(
      "all {}: {} units in every one (by chance {:.1f}, ratio {}, p = {}), {} in any (by chance "
      "{:.1f})\n",
      sets, joint.common, joint.expected_common, ratio_text(joint.ratio), p_text(joint.p),
      joint.in_any, joint.expected_in_any);
}

void print_group(const OverlapGroup& group, const std::vector<std::string>& names, bool titled) {
  for (const OverlapPair& pair : group.pairs) {
    if (!pair.layers.empty()) print_layers(pair, group.top);
  }
  if (group.together) fmt::print("\n");
  if (titled && group.core) fmt::print("{}top {}\n", group.together ? "" : "\n", group.top);
  if (group.together) print_together(*group.together, names.size());
  if (group.core) print_core(*group.core, names);
  if (group.trees.empty()) return;
  fmt::print("\nby overlap beyond chance (mean distance; 1 is as far apart as by chance)\n");
  for (const std::string& line : tree_lines(group.trees.front().merges, names)) {
    fmt::print("{}\n", line);
  }
}

// Tables have room for names without the folder that all files lie in.
OverlapResult with_short_names(OverlapResult found) {
  const std::size_t folder = common_folder(found.names);
  const auto shorten = [&](std::string& name) { name.erase(0, folder); };
  for (std::string& name : found.names) shorten(name);
  for (OverlapGroup& group : found.groups) {
    for (OverlapPair& pair : group.pairs) {
      shorten(pair.a);
      shorten(pair.b);
    }
  }
  return found;
}

}  // namespace

std::size_t common_folder(const std::vector<std::string>& names) {
  std::string folder = names.front().substr(0, names.front().rfind('/') + 1);
  for (const std::string& name : names) {
    // The names of a union's members would begin with it too.
    if (name.find('+') != std::string::npos) return 0;
    while (name.rfind(folder, 0) != 0) {
      folder = folder.size() < 2 ? "" : folder.substr(0, folder.rfind('/', folder.size() - 2) + 1);
    }
  }
  return folder.size();
}

void print_overlap(const OverlapResult& whole) {
  const OverlapResult found = with_short_names(whole);
  PairTable(found).print();
  for (const OverlapGroup& group : found.groups) {
    print_group(group, found.names, found.groups.size() > 1);
  }
  if (found.model_hashes.empty()) return;
  fmt::print("\nmade for models with other weights:\n");
  for (std::size_t i = 0; i < found.names.size(); ++i) {
    fmt::print("{}  {}\n", shown(found.names[i]), shown(found.model_hashes[i]));
  }
}

}  // namespace taskneuron::cli
