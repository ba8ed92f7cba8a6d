#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "taskneuron/analysis/correlation_table.h"
#include "taskneuron/base/options.h"

namespace taskneuron {

// Correlations between the columns of a table (docs/formats/correlation.md).
struct CorrelateOptions {
  std::string table;
  std::vector<std::string> x;
  std::string y = "metric";
  std::string by;
  std::vector<std::string> where;
  std::string layers = "layers";
  std::vector<std::string> bands;
  std::uint64_t seed = 0;
  void declare(OptionList& list);
  // Throws what is known to be wrong before a file is read.
  void check() const;
};

struct CorrelateResult {
  CorrelationTable table;
  std::int64_t rows = 0;  // that `where` keeps
};

CorrelateResult correlate_table(const CorrelateOptions& options);

}  // namespace taskneuron
