#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/base/inference.h"
#include "taskneuron/continual/matrix.h"

namespace taskneuron {

// What several streams say together: one method on several orders, from several seeds.

struct ScoredStream {
  std::string method;
  std::string order;
  std::uint64_t seed = 0;
  StreamMetrics metrics;
};

// The metric of that key (stream_formulas()); of fg and fg_diagonal that of the last stage, which
// is over all earlier tasks. REQUIRES a key of stream_formulas().
std::optional<double> stream_metric(const StreamMetrics& metrics, const std::string& key);

// A metric of a method on one order, over seeds.
struct StreamMean {
  std::string method;
  std::string order;
  std::string key;
  double mean = 0;
  std::optional<double> sd;  // sample standard deviation (n − 1); nothing for one seed
  std::int64_t seeds = 0;    // that know the metric
};

// What the interval of a comparison is over.
enum class StreamSpread { kNone, kOrders, kSeeds, kOrdersAndSeeds };

// Metric of a − metric of b, of streams of the same order and seed.
//
// Assumed: orders are drawn from the orders that could have been taken, seeds from all seeds, each
// independently. Streams of one order are alike in their order, and streams of one seed may be
// alike across orders (they even share models where the orders begin alike), so neither counts as
// one observation per stream: the variance is that of a table of orders and seeds, V_S + V_E − V_R
// (method, "Several trainings", with orders as examples, of which a seed is one training), and not
// less than that of either alone. Of one order it is over seeds, and says nothing of other orders;
// of one seed it is over orders, and says nothing of what a seed does to all of them.
//
// How often the interval holds the difference, of normal ones (4,000 simulated): 95 to 100 of 100
// for 3 orders and 2 or 3 seeds, 96 to 100 for 5 or 6 and 3, 94 for 3 orders that differ much and 5
// seeds; also where two of the orders begin alike and so have half of their variance in common.
// Over orders or seeds alone 95, if the other adds nothing in common; 84 where it adds as much as
// the rest, and fewer where it adds more.
struct StreamComparison {
  std::string a;
  std::string b;
  std::string key;
  // difference, test, interval; `examples` are orders (of one order: seeds). p_adjusted:
  // Benjamini-Hochberg over the pairs of methods that this metric compares over seeds; of one seed
  // there is none.
  Contrast contrast;
  StreamSpread spread = StreamSpread::kNone;
  std::int64_t orders = 0;
  std::int64_t seeds = 0;
  // Streams of either method that are not in the comparison: the other has none of that order and
  // seed, either lacks the metric (a stream whose training diverged: the comparison flatters its
  // method), or the table has gaps: then the largest part of it that has none is compared.
  std::int64_t left_out = 0;
};

const char* spread_name(StreamSpread spread);  // "orders and seeds"

// Whether a is better than b by this metric. Undetermined where the interval is not over seeds, or
// there is none: orders from one seed show no more than what that seed made of them.
Verdict judge(const StreamComparison& comparison);

struct StreamSummary {
  std::vector<StreamMean> means;              // by method, order and metric, as they first come
  std::vector<StreamComparison> comparisons;  // by metric, then pairs of methods that share an
                                              // order and seed
};

// pairs: the methods that are compared, the first with the second; empty: every two. p is corrected
// over what is compared, so what was asked beforehand is found more easily than among all there is.
// REQUIRES streams to differ in method, order or seed.
using MethodPairs = std::vector<std::pair<std::string, std::string>>;
StreamSummary stream_summary(const std::vector<ScoredStream>& streams,
                             const MethodPairs& pairs = {});

}  // namespace taskneuron
