#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "taskneuron/analysis/deactivation.h"

namespace taskneuron::cli {

// One contrast, and what it says of a claim.
OutputJson contrast_json(const Contrast& contrast, Claim claim);
// metric: of the contrasts' value.
OutputJson contrasts_json(const MeasureContrasts& contrasts, const Metric& metric,
                          Expected expected);
OutputJson test_json(const DiagonalTest& test);

// A row for every measure of a contrast.
class ContrastTable {
 public:
  // verdict: the last column's title, what is claimed.
  ContrastTable(Expected expected, const std::string& verdict);
  void add(const std::string& task, const Metric& metric, const std::string& against,
           const MeasureContrasts& contrasts);
  // With the legend of its columns.
  void print() const;

 private:
  void row(const std::string& task, const std::string& measure, const std::string& against,
           const Contrast& contrast, Better better);
  Expected expected_;
  std::string verdict_;
  Table table_;
};

struct MatrixTitle {
  std::string rows;
  std::string entries;
};
void print_matrix(const std::vector<std::string>& tasks,
                  const std::vector<std::vector<double>>& matrix, const DiagonalTest& test,
                  const MatrixTitle& title);

}  // namespace taskneuron::cli
