#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "taskneuron/base/correlation.h"

// How correlations, intervals and p values are written wherever they are.
namespace taskneuron::cli {

// Sets "low" and "high", and where there is none, null and "no_interval": why.
void add_interval(OutputJson& json, const std::optional<Interval>& interval,
                  const std::string& reason);
// {"value", "points", "reason"?, "low", "high", "p", "p_adjusted", "smallest_p", "orders", "exact"}
OutputJson correlation_json(const Correlation& correlation);

// "0.1234", "-0.02 … 0.31"; "–" where there is none.
std::string number_text(const std::optional<double>& value);
std::string interval_text(const std::optional<Interval>& interval);

}  // namespace taskneuron::cli
