#include "cli/inference_json.h"

#include <fmt/format.h>

namespace taskneuron::cli {

void add_interval(OutputJson& json, const std::optional<Interval>& interval,
                  const std::string& reason) {
  json["low"] = interval ? OutputJson(interval->low) : OutputJson(nullptr);
  json["high"] = interval ? OutputJson(interval->high) : OutputJson(nullptr);
  if (!interval) json["no_interval"] = reason;
}

OutputJson correlation_json(const Correlation& found) {
  OutputJson json = {{"value", or_null(found.value)}, {"points", found.points}};
  if (!found.value) json["reason"] = found.no_value;
  add_interval(json, found.interval, found.no_interval);
  json["p"] = or_null(found.p());
  json["p_adjusted"] = or_null(found.p_adjusted);
  if (!found.permutation) return json;
  json["smallest_p"] = found.permutation->smallest_p;
  json["orders"] = found.permutation->orders;
  json["exact"] = found.permutation->exact;
  return json;
}

std::string number_text(const std::optional<double>& value) {
  return value ? fmt::format("{:.4f}", *value) : "–";
}

std::string interval_text(const std::optional<Interval>& interval) {
  return interval ? fmt::format("{:.3f} … {:.3f}", interval->low, interval->high) : "–";
}

}  // namespace taskneuron::cli
