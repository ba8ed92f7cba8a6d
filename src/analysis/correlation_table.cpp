#include "taskneuron/analysis/correlation_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "base/check.h"
#include "taskneuron/base/distributions.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {

namespace {

constexpr CorrelationKind kKinds[] = {CorrelationKind::kPearson, CorrelationKind::kSpearman};

std::optional<std::int64_t> whole_number(const std::string& text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::optional<LayerBand> read_band(const std::string& text) {
  const std::size_t dash = text.find('-');
  const auto first = whole_number(text.substr(0, dash));
  const auto last = dash == std::string::npos ? first : whole_number(text.substr(dash + 1));
  if (!first || !last || *last < *first) return std::nullopt;
  return LayerBand{*first, *last};
}

std::vector<LayerBand> even_bands(std::int64_t count, std::int64_t layers) {
  if (count < 1 || count > layers) {
    throw UsageError("bands", std::to_string(count),
                     fmt::format("1 to {}, as many as there are layers", layers),
                     "is out of range");
  }
  std::vector<LayerBand> bands;
  for (std::int64_t band = 0; band < count; ++band) {
    bands.push_back({band * layers / count, (band + 1) * layers / count - 1});
  }
  return bands;
}

}  // namespace

std::string band_name(const LayerBand& band) {
  return band.first == band.last ? fmt::format("layer {}", band.first)
                                 : fmt::format("layers {}-{}", band.first, band.last);
}

std::vector<LayerBand> parse_bands(const std::vector<std::string>& texts, std::int64_t layers) {
  if (texts.empty()) return {};
  if (texts.size() == 1 && whole_number(texts.front())) {
    return even_bands(*whole_number(texts.front()), layers);
  }
  std::vector<LayerBand> bands;
  for (const std::string& text : texts) {
    const std::optional<LayerBand> band = read_band(text);
    if (!band)
      throw UsageError("bands", text, "a number of bands, or bands as 0-2 3-5", "is no band");
    if (band->last >= layers) {
      throw UsageError("bands", text, fmt::format("layers 0 to {}", layers - 1), "is out of range");
    }
    if (!bands.empty() && band->first <= bands.back().last) {
      throw UsageError("bands", text, "bands that follow each other, as 0-2 3-5",
                       "does not lie behind the band before it");
    }
    bands.push_back(*band);
  }
  return bands;
}

namespace {

using Maybe = std::optional<double>;

Maybe band_value(const std::vector<Maybe>& layers, const LayerBand& band) {
  std::vector<double> there;
  for (std::int64_t layer = band.first; layer <= band.last; ++layer) {
    const auto l = static_cast<std::size_t>(layer);
    if (l < layers.size() && layers[l]) there.push_back(*layers[l]);
  }
  return there.empty() ? Maybe() : Maybe(mean(there));
}

// Rows with x first, then a value of each band.
struct Row {
  std::vector<Maybe> columns;
  Maybe y;
};

struct Group {
  std::string name;
  std::vector<Row> rows;
};

std::vector<Group> groups_of(const CorrelationRequest& request) {
  std::vector<Group> groups;
  std::map<std::string, std::size_t> numbers;
  for (const CorrelatedRow& row : request.rows) {
    TN_CHECK_EQ(row.x.size(), request.columns.size());
    const auto [known, is_new] = numbers.emplace(row.group, groups.size());
    if (is_new) groups.push_back({row.group, {}});
    Row& added = groups[known->second].rows.emplace_back(Row{row.x, row.y});
    for (const LayerBand& band : request.bands) {
      added.columns.push_back(band_value(row.layers, band));
    }
  }
  return groups;
}

ColumnCorrelation correlate_column(const Group& group, std::size_t column, const std::string& name,
                                   const PermutationOptions& options) {
  ColumnCorrelation result;
  result.column = name;
  std::vector<double> x, y;
  for (const Row& row : group.rows) {
    if (row.columns[column] && row.y) {
      x.push_back(*row.columns[column]);
      y.push_back(*row.y);
    } else {
      ++result.left_out;
    }
  }
  if (!x.empty()) {
    result.x_mean = mean(x);
    result.y_mean = mean(y);
  }
  result.pearson = correlate(CorrelationKind::kPearson, x, y, options);
  result.spearman = correlate(CorrelationKind::kSpearman, x, y, options);
  return result;
}

BandDifference difference_of(const Group& group, std::size_t first_band) {
  std::vector<double> early, late, y;
  for (const Row& row : group.rows) {
    const Maybe& first = row.columns[first_band];
    const Maybe& last = row.columns.back();
    if (!first || !last || !row.y) continue;
    early.push_back(*first);
    late.push_back(*last);
    y.push_back(*row.y);
  }
  return {correlation_difference(CorrelationKind::kPearson, early, late, y),
          correlation_difference(CorrelationKind::kSpearman, early, late, y)};
}

// bound: what the quantity cannot go beyond on either side.
OverGroups mean_over(const std::string& column, CorrelationKind kind,
                     const std::vector<double>& values, double bound) {
  OverGroups result;
  result.column = column;
  result.kind = kind;
  result.groups = static_cast<std::int64_t>(values.size());
  if (values.empty()) {
    result.no_interval = "defined in no group";
    return result;
  }
  result.mean = mean(values);
  if (values.size() < 2) {
    result.no_interval = "defined in one group alone";
    return result;
  }
  const double half = student_t_quantile(1 - kAlpha / 2, static_cast<double>(values.size() - 1)) *
                      standard_error(values);
  result.interval =
      Interval{std::max(-bound, *result.mean - half), std::min(bound, *result.mean + half)};
  return result;
}

Correlation& of_kind(ColumnCorrelation& column, CorrelationKind kind) {
  return kind == CorrelationKind::kPearson ? column.pearson : column.spearman;
}

// Corrects one column's p over the groups, and takes its mean over them.
void join_groups(CorrelationTable& table, std::size_t column) {
  for (const CorrelationKind kind : kKinds) {
    std::vector<Correlation*> family;
    std::vector<double> values;
    for (GroupCorrelations& group : table.groups) {
      family.push_back(&of_kind(group.columns[column], kind));
      if (family.back()->value) values.push_back(*family.back()->value);
    }
    adjust(family);
    table.over_groups.push_back(
        mean_over(table.groups.front().columns[column].column, kind, values, 1));
  }
}

void join_differences(CorrelationTable& table) {
  for (const CorrelationKind kind : kKinds) {
    std::vector<double> values;
    for (const GroupCorrelations& group : table.groups) {
      const BandDifference& found = *group.late_minus_early;
      const auto& one = kind == CorrelationKind::kPearson ? found.pearson : found.spearman;
      if (one.value) values.push_back(*one.value);
    }
    table.over_groups.push_back(mean_over("late - early", kind, values, 2));
  }
}

}  // namespace

CorrelationTable correlation_table(const CorrelationRequest& request) {
  std::vector<std::string> names = request.columns;
  for (const LayerBand& band : request.bands) names.push_back(band_name(band));
  CorrelationTable table;
  for (const Group& group : groups_of(request)) {
    GroupCorrelations& found = table.groups.emplace_back();
    found.group = group.name;
    for (std::size_t column = 0; column < names.size(); ++column) {
      found.columns.push_back(correlate_column(group, column, names[column], request.permutation));
    }
    if (request.bands.size() > 1) {
      found.late_minus_early = difference_of(group, request.columns.size());
    }
  }
  if (table.groups.empty()) return table;
  for (std::size_t column = 0; column < names.size(); ++column) join_groups(table, column);
  if (request.bands.size() > 1) join_differences(table);
  return table;
}

}  // namespace taskneuron
