#pragma once

#include <cstdint>
#include <string>

#include "taskneuron/analysis/forecast.h"
#include "taskneuron/base/options.h"

namespace taskneuron {

// How well what `affinity` found, or tables of one's own, foresees a measured cross-training matrix
// (docs/formats/affinity.md).
struct ForecastOptions {
  std::string affinity;
  std::string measured;
  bool lower_is_better = false;
  std::int64_t draws = 2000;
  std::uint64_t seed = 0;
  void declare(OptionList& list);
};

Forecast forecast_from_files(const ForecastOptions& options);

}  // namespace taskneuron
