#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/base/inference.h"

namespace taskneuron {

// Whether two quantities go together over a handful of models or tasks (docs/method.md,
// "Correlation").

enum class CorrelationKind {
  kPearson,
  kSpearman,  // Pearson of ranks; ties get their mean rank
};

// "pearson", "spearman". Throws UsageError for anything else.
const char* correlation_name(CorrelationKind kind);
CorrelationKind parse_correlation(const std::string& name);

// The most orders of y that are all tried: those of nine values.
constexpr std::int64_t kAllOrders = 362880;
// Fewer points than this show nothing: two always lie on a line.
constexpr std::int64_t kPointsToCorrelate = 3;

struct Correlation {
  CorrelationKind kind = CorrelationKind::kPearson;
  std::int64_t points = 0;
  std::optional<double> value;
  std::string no_value;  // why there is none: too few points, or one side is constant
  // Fisher's z for Pearson, Bonett & Wright's (2000) for Spearman.
  std::optional<Interval> interval;
  std::string no_interval;
  // Two-sided, over orders of y: the share with a correlation at least as far from 0. Where all
  // orders were tried, smallest_p is what the most extreme of them would have got (ties raise it).
  std::optional<Randomisation> permutation;
  std::optional<double> p_adjusted;  // Benjamini-Hochberg, in the family that the caller formed

  std::optional<double> p() const;
};

struct PermutationOptions {
  std::uint64_t seed = 0;
  std::int64_t all_orders = kAllOrders;  // beyond so many, some are drawn
  std::int64_t draws = kDraws;
};

// REQUIRES as many y as x, all finite.
Correlation correlate(CorrelationKind kind, const std::vector<double>& x,
                      const std::vector<double>& y, const PermutationOptions& options = {});
// Fills p_adjusted of a family's; those without a p are no part of it.
void adjust(const std::vector<Correlation*>& family);

// How much more `late` goes with y than `early` does, over the same points.
struct CorrelationDifference {
  CorrelationKind kind = CorrelationKind::kPearson;
  std::int64_t points = 0;
  std::optional<double> value;  // r(late, y) − r(early, y)
  std::string no_value;
  // Zou's (2007) for correlations that share a variable, from the interval of each.
  std::optional<Interval> interval;
  std::string no_interval;
};

// REQUIRES as many of each, all finite.
CorrelationDifference correlation_difference(CorrelationKind kind, const std::vector<double>& early,
                                             const std::vector<double>& late,
                                             const std::vector<double>& y);

}  // namespace taskneuron
