#include "taskneuron/continual/summary.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <utility>

#include "base/check.h"
#include "taskneuron/base/statistics.h"
#include "taskneuron/base/trainings.h"

namespace taskneuron {

namespace {

// A stream's place in the table of orders and seeds.
using Cell = std::pair<std::string, std::uint64_t>;
using Cells = std::map<Cell, double>;

// A complete table, as far as there is one: every order with every seed.
struct Grid {
  std::set<std::string> orders;
  std::set<std::uint64_t> seeds;
};

std::vector<std::string> distinct(const std::vector<ScoredStream>& streams,
                                  std::string ScoredStream::*field) {
  std::vector<std::string> found;
  for (const ScoredStream& stream : streams) {
    const std::string& value = stream.*field;
    if (std::find(found.begin(), found.end(), value) == found.end()) found.push_back(value);
  }
  return found;
}

void require_distinct(const std::vector<ScoredStream>& streams) {
  std::set<std::pair<std::string, Cell>> seen;
  for (const ScoredStream& stream : streams) {
    TN_CHECK(seen.insert({stream.method, {stream.order, stream.seed}}).second);
  }
}

// A method's streams.
struct Streams {
  Cells cells;  // of those that know the metric
  std::int64_t count = 0;
};
using StreamsOfMethods = std::map<std::string, Streams>;

StreamsOfMethods streams_of_methods(const std::vector<ScoredStream>& streams,
                                    const std::string& key) {
  StreamsOfMethods found;
  for (const ScoredStream& stream : streams) {
    Streams& own = found[stream.method];
    ++own.count;
    if (const auto value = stream_metric(stream.metrics, key)) {
      own.cells[{stream.order, stream.seed}] = *value;
    }
  }
  return found;
}

Cells differences(const Cells& a, const Cells& b) {
  Cells cells;
  for (const auto& [cell, value] : a) {
    const auto other = b.find(cell);
    if (other != b.end()) cells[cell] = value - other->second;
  }
  return cells;
}

// The largest: of every choice of seeds, the orders that have all of them. Of very many seeds only
// the choices of one and of all.
Grid complete_grid(const Cells& cells) {
  std::set<std::string> orders;
  std::set<std::uint64_t> seeds;
  for (const auto& [cell, value] : cells) {
    orders.insert(cell.first);
    seeds.insert(cell.second);
  }
  const auto grid_of = [&](const std::set<std::uint64_t>& chosen) {
    Grid grid{{}, chosen};
    for (const std::string& order : orders) {
      const bool whole = std::all_of(chosen.begin(), chosen.end(), [&](std::uint64_t seed) {
        return cells.count({order, seed}) != 0;
      });
      if (whole) grid.orders.insert(order);
    }
    return grid;
  };
  const auto streams = [](const Grid& grid) { return grid.orders.size() * grid.seeds.size(); };
  Grid best = grid_of(seeds);
  const auto keep_larger = [&](const std::set<std::uint64_t>& chosen) {
    const Grid grid = grid_of(chosen);
    const bool larger = streams(grid) > streams(best) ||
                        (streams(grid) == streams(best) && grid.seeds.size() > best.seeds.size());
    if (larger) best = grid;
  };
  constexpr std::size_t kFew = 12;
  if (seeds.size() > kFew) {
    for (const std::uint64_t seed : seeds) keep_larger({seed});
    return best;
  }
  const std::vector<std::uint64_t> all(seeds.begin(), seeds.end());
  for (std::uint32_t choice = 1; choice < 1u << all.size(); ++choice) {
    std::set<std::uint64_t> chosen;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if ((choice >> i & 1) != 0) chosen.insert(all[i]);
    }
    keep_larger(chosen);
  }
  return best;
}

// [seeds][orders]
std::vector<std::vector<double>> table_of(const Cells& cells, const Grid& grid) {
  std::vector<std::vector<double>> table;
  for (const std::uint64_t seed : grid.seeds) {
    std::vector<double> row;
    for (const std::string& order : grid.orders) row.push_back(cells.at({order, seed}));
    table.push_back(std::move(row));
  }
  return table;
}

// REQUIRES a row, each with the same number of columns, and a column.
void conclude(const std::vector<std::vector<double>>& table, StreamComparison& comparison) {
  comparison.seeds = static_cast<std::int64_t>(table.size());
  comparison.orders = static_cast<std::int64_t>(table.front().size());
  if (comparison.seeds > 1 && comparison.orders > 1) {
    comparison.spread = StreamSpread::kOrdersAndSeeds;
    // The differences themselves are the trainings: pairs share their seed, so what a seed does to
    // both methods is no spread between them.
    const Trainings paired = {{table, 1}};
    // The variance of a difference of estimates, and so its own estimate of df, is rough where
    // there are few; it never has fewer than the rarer of the two sources of spread has by itself.
    const double least_df = static_cast<double>(std::min(comparison.seeds, comparison.orders) - 1);
    comparison.contrast =
        contrast_of_trainings({&paired}, {1}, pooled_seed_variance({paired}), least_df);
    return;
  }
  std::vector<double> values = table.front();
  if (comparison.orders == 1) {
    values.clear();
    for (const auto& row : table) values.push_back(row.front());
  }
  comparison.contrast = paired_difference({values});
  if (values.size() > 1) {
    comparison.spread = comparison.orders > 1 ? StreamSpread::kOrders : StreamSpread::kSeeds;
    return;
  }
  comparison.contrast.no_test = comparison.contrast.no_interval =
      "one pair of streams shows no spread between orders or seeds";
}

// Nothing where no complete table can be formed.
std::optional<StreamComparison> compare(const StreamsOfMethods& streams, const std::string& a,
                                        const std::string& b, const std::string& key) {
  const Streams &first = streams.at(a), &second = streams.at(b);
  const Cells cells = differences(first.cells, second.cells);
  const Grid grid = complete_grid(cells);
  if (grid.orders.empty() || grid.seeds.empty()) return std::nullopt;
  StreamComparison comparison;
  comparison.a = a;
  comparison.b = b;
  comparison.key = key;
  conclude(table_of(cells, grid), comparison);
  comparison.left_out = first.count + second.count - 2 * comparison.orders * comparison.seeds;
  return comparison;
}

bool shows_seeds(const StreamComparison& comparison) {
  return comparison.spread == StreamSpread::kSeeds ||
         comparison.spread == StreamSpread::kOrdersAndSeeds;
}

MethodPairs every_two(const std::vector<std::string>& methods) {
  MethodPairs pairs;
  for (std::size_t i = 0; i < methods.size(); ++i) {
    for (std::size_t j = i + 1; j < methods.size(); ++j) pairs.push_back({methods[i], methods[j]});
  }
  return pairs;
}

void add_comparisons(const std::vector<ScoredStream>& streams, const MethodPairs& pairs,
                     const std::string& key, std::vector<StreamComparison>& found) {
  const std::size_t first = found.size();
  const StreamsOfMethods by_method = streams_of_methods(streams, key);
  for (const auto& [a, b] : pairs) {
    if (auto one = compare(by_method, a, b, key)) found.push_back(*one);
  }
  // What can be no finding must not make others easier to find.
  std::vector<Contrast*> family;
  for (std::size_t i = first; i < found.size(); ++i) {
    if (shows_seeds(found[i])) family.push_back(&found[i].contrast);
  }
  adjust(family);
}

void add_means(const std::vector<ScoredStream>& streams, const std::string& method,
               const std::string& order, std::vector<StreamMean>& found) {
  for (const StreamFormula& formula : stream_formulas()) {
    std::vector<double> values;
    for (const ScoredStream& stream : streams) {
      if (stream.method != method || stream.order != order) continue;
      if (const auto value = stream_metric(stream.metrics, formula.key)) values.push_back(*value);
    }
    if (values.empty()) continue;
    StreamMean one{method, order, formula.key, mean(values), std::nullopt, 0};
    if (values.size() > 1) one.sd = standard_deviation(values);
    one.seeds = static_cast<std::int64_t>(values.size());
    found.push_back(std::move(one));
  }
}

const StreamFormula& formula_of(const std::string& key) {
  const std::vector<StreamFormula>& all = stream_formulas();
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const StreamFormula& formula) { return key == formula.key; });
  TN_CHECK(found != all.end());
  return *found;
}

}  // namespace

std::optional<double> stream_metric(const StreamMetrics& metrics, const std::string& key) {
  const auto last = [](const std::vector<std::optional<double>>& stages) {
    return stages.empty() ? std::nullopt : stages.back();
  };
  if (key == "cl") return metrics.cl;
  if (key == "fg") return last(metrics.fg);
  if (key == "fg_diagonal") return last(metrics.fg_diagonal);
  if (key == "bwt") return metrics.bwt;
  if (key == "fwt") return metrics.fwt;
  TN_CHECK(key == "forgetting");
  return metrics.forgetting;
}

const char* spread_name(StreamSpread spread) {
  switch (spread) {
    case StreamSpread::kOrders: return "orders";
    case StreamSpread::kSeeds: return "seeds";
    case StreamSpread::kOrdersAndSeeds: return "orders and seeds";
    case StreamSpread::kNone: break;
  }
  return "nothing";
}

Verdict judge(const StreamComparison& comparison) {
  if (!shows_seeds(comparison)) return Verdict::kUndetermined;
  return judge(comparison.contrast,
               formula_of(comparison.key).higher_is_better ? Claim::kHigher : Claim::kLower);
}

StreamSummary stream_summary(const std::vector<ScoredStream>& streams, const MethodPairs& pairs) {
  require_distinct(streams);
  StreamSummary summary;
  const std::vector<std::string> methods = distinct(streams, &ScoredStream::method);
  for (const std::string& method : methods) {
    for (const std::string& order : distinct(streams, &ScoredStream::order)) {
      add_means(streams, method, order, summary.means);
    }
  }
  for (const StreamFormula& formula : stream_formulas()) {
    add_comparisons(streams, pairs.empty() ? every_two(methods) : pairs, formula.key,
                    summary.comparisons);
  }
  return summary;
}

}  // namespace taskneuron
