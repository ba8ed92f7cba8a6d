// Random sets of units, which a task's own set is compared with.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/check.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/random.h"
#include "taskneuron/neuron/selection.h"

namespace taskneuron {

namespace {

constexpr RandomKind kKinds[] = {RandomKind::kMatched, RandomKind::kUniform, RandomKind::kOutside};

// Everything that tells one set from another (but the seed), so that none shares a stream.
std::string stream_name(const NeuronSet& like, const RandomDraw& draw) {
  std::string name =
      fmt::format("{} set {} of {}", random_kind_name(draw.kind), draw.draw, draw.task);
  for (const auto& [site, units] : like.sites) {
    name += fmt::format(", {}", site_name(site));
    for (const auto& layer : units.units) name += fmt::format(" {}", layer.size());
  }
  return name;
}

std::vector<std::int64_t> units_outside(const std::vector<std::int64_t>& inside,
                                        std::int64_t width) {
  std::vector<std::int64_t> outside;
  auto next = inside.begin();
  for (std::int64_t unit = 0; unit < width; ++unit) {
    if (next != inside.end() && *next == unit) {
      ++next;
    } else {
      outside.push_back(unit);
    }
  }
  return outside;
}

void draw_uniform(const NeuronSet& like, Random& random, NeuronSet& set) {
  std::int64_t total = 0;
  for (const auto& item : set.sites) total += item.second.shape().units();
  const std::vector<std::int64_t> chosen = random.sample(total, like.size());
  std::int64_t first = 0;  // number of the site's first unit
  auto next = chosen.begin();
  for (auto& item : set.sites) {
    const SiteShape shape = item.second.shape();
    for (; next != chosen.end() && *next < first + shape.units(); ++next) {
      const std::int64_t unit = *next - first;
      item.second.units[static_cast<std::size_t>(unit / shape.width)].push_back(unit % shape.width);
    }
    first += shape.units();
  }
}

void draw_outside(const NeuronSet& like, Random& random, NeuronSet& set) {
  for (auto& [site, units] : set.sites) {
    for (std::size_t l = 0; l < units.units.size(); ++l) {
      const std::vector<std::int64_t>& inside = like.sites.at(site).units[l];
      const std::vector<std::int64_t> outside = units_outside(inside, units.width);
      const auto left = static_cast<std::int64_t>(outside.size());
      const std::int64_t count = std::min(static_cast<std::int64_t>(inside.size()), left);
      for (const std::int64_t place : random.sample(left, count)) {
        units.units[l].push_back(outside[static_cast<std::size_t>(place)]);
      }
    }
  }
}

void draw_matched(const NeuronSet& like, Random& random, NeuronSet& set) {
  for (auto& [site, units] : set.sites) {
    for (std::size_t l = 0; l < units.units.size(); ++l) {
      const auto count = static_cast<std::int64_t>(like.sites.at(site).units[l].size());
      units.units[l] = random.sample(units.width, count);
    }
  }
}

}  // namespace

RandomKind parse_random_kind(const std::string& name) {
  for (const RandomKind kind : kKinds) {
    if (name == random_kind_name(kind)) return kind;
  }
  throw UsageError("random_kind", name, "matched, uniform or outside");
}

const char* random_kind_name(RandomKind kind) {
  switch (kind) {
    case RandomKind::kMatched: return "matched";
    case RandomKind::kUniform: return "uniform";
    case RandomKind::kOutside: return "outside";
  }
  TN_CHECK(false);
}

NeuronSet random_set(const NeuronSet& like, const RandomDraw& draw) {
  NeuronSet set = like;
  for (auto& item : set.sites) {
    for (auto& layer : item.second.units) layer.clear();
  }
  Random random(draw.seed, stream_name(like, draw));
  switch (draw.kind) {
    case RandomKind::kMatched: draw_matched(like, random, set); break;
    case RandomKind::kUniform: draw_uniform(like, random, set); break;
    case RandomKind::kOutside: draw_outside(like, random, set); break;
  }
  set.from = {{"random", random_kind_name(draw.kind)},
              {"task", draw.task},
              {"seed", std::to_string(draw.seed)},
              {"draw", std::to_string(draw.draw)},
              {"in_common", std::to_string(units_in_common(like, set))}};
  if (set.size() < like.size()) {
    set.from["missing"] = std::to_string(like.size() - set.size());
  }
  return set;
}

NeuronSet mixed_set(const NeuronSet& like, double share, const RandomDraw& draw) {
  TN_CHECK(share >= 0 && share <= 1);
  NeuronSet set = like;
  Random random(draw.seed, fmt::format("mixed {} of {}", share, stream_name(like, draw)));
  double asked = 0;          // of `like`, over the layers so far
  std::int64_t rounded = 0;  // so that the layers' whole numbers add up to the share of all
  for (auto& [site, units] : set.sites) {
    for (std::size_t l = 0; l < units.units.size(); ++l) {
      const std::vector<std::int64_t> inside = std::move(units.units[l]);
      const std::vector<std::int64_t> outside = units_outside(inside, units.width);
      const auto count = static_cast<std::int64_t>(inside.size()),
                 left = static_cast<std::int64_t>(outside.size());
      asked += share * static_cast<double>(count);
      const std::int64_t wanted = std::llround(asked) - rounded;
      rounded += wanted;
      const std::int64_t own = std::clamp(wanted, std::max<std::int64_t>(0, count - left), count);
      std::vector<std::int64_t> chosen;
      for (const std::int64_t place : random.sample(count, own)) {
        chosen.push_back(inside[static_cast<std::size_t>(place)]);
      }
      for (const std::int64_t place : random.sample(left, count - own)) {
        chosen.push_back(outside[static_cast<std::size_t>(place)]);
      }
      std::sort(chosen.begin(), chosen.end());
      units.units[l] = std::move(chosen);
    }
  }
  set.from = {{"random", "mixed"},
              {"share", fmt::format("{}", share)},
              {"task", draw.task},
              {"seed", std::to_string(draw.seed)},
              {"draw", std::to_string(draw.draw)},
              {"in_common", std::to_string(units_in_common(like, set))}};
  return set;
}

std::vector<ExhaustedLayer> exhausted_layers(const NeuronSet& set) {
  std::vector<ExhaustedLayer> layers;
  for (const auto& [site, units] : set.sites) {
    for (std::size_t l = 0; l < units.units.size(); ++l) {
      const auto inside = static_cast<std::int64_t>(units.units[l].size());
      if (2 * inside <= units.width) continue;
      layers.push_back({site, static_cast<std::int64_t>(l), inside, units.width - inside});
    }
  }
  return layers;
}

std::int64_t units_in_common(const NeuronSet& a, const NeuronSet& b) {
  std::int64_t count = 0;
  for (const auto& [site, units] : a.sites) {
    const auto other = b.sites.find(site);
    if (other == b.sites.end()) continue;
    TN_CHECK_EQ(units.units.size(), other->second.units.size());
    for (std::size_t l = 0; l < units.units.size(); ++l) {
      std::vector<std::int64_t> shared;
      std::set_intersection(units.units[l].begin(), units.units[l].end(),
                            other->second.units[l].begin(), other->second.units[l].end(),
                            std::back_inserter(shared));
      count += static_cast<std::int64_t>(shared.size());
    }
  }
  return count;
}

}  // namespace taskneuron
