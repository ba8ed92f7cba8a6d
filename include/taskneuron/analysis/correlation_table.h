#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/base/correlation.h"

namespace taskneuron {

// Whether what is known of models (or pairs of tasks) goes with how well they do: correlations of
// several columns with one, group by group (method, "Correlation").

struct CorrelatedRow {
  std::string group;                     // within which rows are compared: a test task
  std::vector<std::optional<double>> x;  // by column
  std::optional<double> y;
  std::vector<std::optional<double>> layers;  // a quantity of every layer; empty: none
};

// Layers first .. last, both included.
struct LayerBand {
  std::int64_t first = 0;
  std::int64_t last = 0;
};
// "3" (as many bands of even size) or "0-2 3-5". Throws UsageError for bands that are none, that do
// not follow each other, or that end beyond `layers`.
std::vector<LayerBand> parse_bands(const std::vector<std::string>& texts, std::int64_t layers);
std::string band_name(const LayerBand& band);

// One column with y in one group: rows that have both.
struct ColumnCorrelation {
  std::string column;         // "similarity", or "layers 0-2"
  std::int64_t left_out = 0;  // rows of the group without one of the two
  std::optional<double> x_mean;
  std::optional<double> y_mean;
  Correlation pearson;
  Correlation spearman;
};

// The last band against the first.
struct BandDifference {
  CorrelationDifference pearson;
  CorrelationDifference spearman;
};

struct GroupCorrelations {
  std::string group;
  std::vector<ColumnCorrelation> columns;  // x, then bands
  std::optional<BandDifference> late_minus_early;
};

// A quantity's mean over groups, and its t interval where there are two or more: groups are taken
// as drawn. Where all groups have the same models, it says nothing of other models.
struct OverGroups {
  std::string column;  // or "late - early"
  CorrelationKind kind = CorrelationKind::kPearson;
  std::int64_t groups = 0;  // where it is defined
  std::optional<double> mean;
  std::optional<Interval> interval;
  std::string no_interval;
};

struct CorrelationTable {
  std::vector<GroupCorrelations> groups;  // in the order in which they first appear
  std::vector<OverGroups> over_groups;
};

struct CorrelationRequest {
  std::vector<std::string> columns;
  std::vector<LayerBand> bands;  // over rows' `layers`; a band's value: the mean of those it has
  std::vector<CorrelatedRow> rows;
  PermutationOptions permutation;
};

// p values are corrected over the groups, for each column and kind by itself. REQUIRES as many x in
// every row as there are columns; values that are finite.
CorrelationTable correlation_table(const CorrelationRequest& request);

}  // namespace taskneuron
