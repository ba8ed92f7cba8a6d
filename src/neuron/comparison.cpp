#include "taskneuron/neuron/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {

namespace {

double log_choose(double n, double k) {
  return std::lgamma(n + 1) - std::lgamma(k + 1) - std::lgamma(n - k + 1);
}

// P(common = i) when `a` of `width` units are marked and `b` are drawn; index = i.
std::vector<double> hypergeometric(std::int64_t width, std::int64_t a, std::int64_t b) {
  std::vector<double> chance(static_cast<std::size_t>(std::min(a, b)) + 1, 0.0);
  const auto n = static_cast<double>(width);
  for (std::size_t i = 0; i < chance.size(); ++i) {
    const auto common = static_cast<double>(i);
    const double rest = static_cast<double>(b) - common;
    if (rest > n - static_cast<double>(a)) continue;
    chance[i] = std::exp(log_choose(static_cast<double>(a), common) +
                         log_choose(n - static_cast<double>(a), rest) -
                         log_choose(n, static_cast<double>(b)));
  }
  return chance;
}

std::vector<double> convolve(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> sum(a.size() + b.size() - 1, 0.0);
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (a[i] < 1e-300) continue;
    for (std::size_t j = 0; j < b.size(); ++j) sum[i + j] += a[i] * b[j];
  }
  return sum;
}

std::vector<double> flatten(const SiteRelevance& relevance) {
  std::vector<double> values;
  for (const auto& item : relevance) {
    const at::Tensor flat = item.second.to(at::kDouble).contiguous();
    values.insert(values.end(), flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel());
  }
  return values;
}

}  // namespace

SetComparison compare_sets(const NeuronSet& a, const NeuronSet& b, Chance chance) {
  SetComparison result;
  std::vector<double> chances = {1.0};  // by number of common units
  if (a.sites.size() != b.sites.size()) throw Error("the sets to compare are of different sites");
  for (const auto& [site, units] : a.sites) {
    const auto other = b.sites.find(site);
    if (other == b.sites.end() || other->second.shape() != units.shape()) {
      throw Error(
          fmt::format("the sets to compare have different shapes at site {}", site_name(site)));
    }
    for (std::size_t l = 0; l < units.units.size(); ++l) {
      const auto &mine = units.units[l], &theirs = other->second.units[l];
      std::vector<std::int64_t> common;
      std::set_intersection(mine.begin(), mine.end(), theirs.begin(), theirs.end(),
                            std::back_inserter(common));
      const auto first = static_cast<std::int64_t>(mine.size());
      const auto second = static_cast<std::int64_t>(theirs.size());
      result.first += first;
      result.second += second;
      result.common += static_cast<std::int64_t>(common.size());
      result.expected_common += static_cast<double>(first) * static_cast<double>(second) /
                                static_cast<double>(units.width);
      if (chance == Chance::kLeaveOut) continue;
      chances = convolve(chances, hypergeometric(units.width, first, second));
    }
  }
  const auto jaccard = [&](double common) {
    const double all = static_cast<double>(result.first + result.second) - common;
    return all > 0 ? common / all : 0;
  };
  result.jaccard = jaccard(static_cast<double>(result.common));
  if (chance == Chance::kLeaveOut) return result;
  for (std::size_t i = 0; i < chances.size(); ++i) {
    result.expected_jaccard += chances[i] * jaccard(static_cast<double>(i));
  }
  return result;
}

ScoreComparison compare_relevance(const SiteRelevance& a, const SiteRelevance& b, double percent,
                                  Scope scope) {
  ScoreComparison result;
  result.top = compare_sets(select_top(a, percent, scope), select_top(b, percent, scope));
  const std::vector<double> x = flatten(a), y = flatten(b);
  result.pearson = pearson(x, y);
  result.spearman = spearman(x, y);
  return result;
}

}  // namespace taskneuron
