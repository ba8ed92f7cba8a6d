#include "taskneuron/neuron/selection.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

double parse_percent(const std::string& text, const std::string& option) {
  std::string number = text;
  if (!number.empty() && number.back() == '%') number.pop_back();
  std::size_t used = 0;
  double percent = 0;
  try {
    percent = std::stod(number, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  if (number.empty() || used != number.size() || !(percent > 0 && percent <= 100)) {
    throw UsageError(option, text, "a percentage above 0 and at most 100, such as 10%",
                     "is not a share of units");
  }
  if (percent < 1 && text.back() != '%') {
    throw UsageError(option, text, "the sign",
                     fmt::format("may mean {:g}% or {:g}% of the units", 100 * percent, percent));
  }
  return percent;
}

std::vector<double> parse_percents(const std::vector<std::string>& texts,
                                   const std::string& option) {
  if (texts.empty()) throw UsageError(fmt::format("`{}` is empty", option));
  std::vector<std::pair<double, std::string>> shares;
  for (const std::string& text : texts) shares.emplace_back(parse_percent(text, option), text);
  auto right = shares;
  std::stable_sort(right.begin(), right.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  right.erase(std::unique(right.begin(), right.end(),
                          [](const auto& a, const auto& b) { return a.first == b.first; }),
              right.end());
  std::vector<double> percents;
  for (const auto& share : shares) percents.push_back(share.first);
  if (right == shares) return percents;
  std::string order;
  for (const auto& share : right) order += (order.empty() ? "" : " ") + share.second;
  throw UsageError(option, fmt::format("{}", fmt::join(texts, " ")), order,
                   "is not in ascending order, each share once");
}

SiteRelevance site_relevance(const Scores& scores, const std::vector<Site>& sites,
                             Aggregate aggregate) {
  SiteRelevance relevance;
  if (sites.empty()) {
    for (const auto& item : scores.sites) {
      relevance[item.first] = scores.relevance(item.first, aggregate);
    }
  }
  for (const Site site : sites) relevance[site] = scores.relevance(site, aggregate);
  return relevance;
}

SiteRelevance contrastive(const SiteRelevance& task, const std::vector<SiteRelevance>& others) {
  TN_CHECK(!others.empty());
  SiteRelevance result;
  for (const auto& [site, values] : task) {
    at::Tensor sum = at::zeros_like(values);
    for (const SiteRelevance& other : others) {
      const auto found = other.find(site);
      if (found == other.end() || found->second.sizes() != values.sizes()) {
        throw Error(
            fmt::format("scores to contrast with have another shape at site {}", site_name(site)));
      }
      sum += found->second;
    }
    result[site] = values - sum / static_cast<double>(others.size());
  }
  return result;
}

NeuronSet select_top(const SiteRelevance& relevance, double percent, Scope scope) {
  return Ranking(relevance).top(percent, scope);
}

}  // namespace taskneuron
