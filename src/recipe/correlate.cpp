#include "taskneuron/recipe/correlate.h"

#include <fmt/format.h>

#include <algorithm>

#include "recipe/data_table.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

void CorrelateOptions::declare(OptionList& list) {
  list.add("table", &table, Effect::kInput, "CSV with a header, JSON lines, or a JSON list of rows")
      .positional()
      .required();
  list.add("x", &x, Effect::kResult, "Columns that may go with `y`");
  list.add("y", &y, Effect::kResult, "Column of what they may go with: performance");
  list.add("by", &by, Effect::kResult,
           "Column whose values are groups (test tasks), each correlated by itself; p values are "
           "corrected over them");
  list.add("where", &where, Effect::kResult, "Only rows with COLUMN=VALUE, for each of these");
  list.add("layers", &layers, Effect::kResult, "Column with a list: a value of every layer");
  list.add("bands", &bands, Effect::kResult,
           "Correlate bands of layers: how many of even size, or bands as 0-2 3-5");
  list.add("seed", &seed, Effect::kResult,
           "Seed of drawn orders, where there are too many for all");
}

namespace {

struct Condition {
  std::string column;
  std::string value;
};

std::vector<Condition> conditions_of(const CorrelateOptions& options) {
  std::vector<Condition> conditions;
  for (const std::string& text : options.where) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      throw UsageError("where", text, "COLUMN=VALUE", "is no condition");
    }
    conditions.push_back({text.substr(0, equals), text.substr(equals + 1)});
  }
  return conditions;
}

bool holds(const DataTable& table, std::size_t row, const std::vector<Condition>& conditions) {
  return std::all_of(conditions.begin(), conditions.end(), [&](const Condition& condition) {
    return table.text(row, condition.column) == condition.value;
  });
}

CorrelatedRow read_row(const DataTable& table, std::size_t row, const CorrelateOptions& options) {
  CorrelatedRow result;
  result.group = options.by.empty() ? "all" : table.text(row, options.by);
  for (const std::string& column : options.x) result.x.push_back(table.number(row, column));
  result.y = table.number(row, options.y);
  if (!options.bands.empty()) result.layers = table.numbers(row, options.layers);
  return result;
}

// As many as the rows' lists have. Throws Error where they differ.
std::int64_t layers_of(const std::vector<CorrelatedRow>& rows, const CorrelateOptions& options) {
  std::size_t layers = 0;
  for (const CorrelatedRow& row : rows) {
    if (row.layers.empty()) continue;
    if (layers != 0 && row.layers.size() != layers) {
      throw Error(fmt::format("{}: column '{}' has lists of {} and of {} layers", options.table,
                              options.layers, layers, row.layers.size()));
    }
    layers = row.layers.size();
  }
  if (layers == 0) {
    throw Error(fmt::format("{}: no row has a list in column '{}'", options.table, options.layers));
  }
  return static_cast<std::int64_t>(layers);
}

}  // namespace

void CorrelateOptions::check() const {
  check_declared(*this);
  if (x.empty() && bands.empty()) {
    throw UsageError("nothing to correlate; name columns with `x`, or `bands` of layers");
  }
  conditions_of(*this);
}

CorrelateResult correlate_table(const CorrelateOptions& options) {
  options.check();
  const DataTable table(options.table);
  const std::vector<Condition> conditions = conditions_of(options);
  for (const std::string& column : options.x) table.require_column(column);
  table.require_column(options.y);
  if (!options.by.empty()) table.require_column(options.by);
  if (!options.bands.empty()) table.require_column(options.layers);
  for (const Condition& condition : conditions) table.require_column(condition.column);
  CorrelationRequest request;
  request.columns = options.x;
  request.permutation.seed = options.seed;
  for (std::size_t row = 0; row < table.rows(); ++row) {
    if (holds(table, row, conditions)) request.rows.push_back(read_row(table, row, options));
  }
  if (request.rows.empty()) {
    throw Error(fmt::format("{}: no row fulfils `where`", options.table));
  }
  if (!options.bands.empty()) {
    request.bands = parse_bands(options.bands, layers_of(request.rows, options));
  }
  return {correlation_table(request), static_cast<std::int64_t>(request.rows.size())};
}

}  // namespace taskneuron
