#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "taskneuron/analysis/deactivation.h"

namespace taskneuron::cli {

// What is claimed of each measure of own minus another.
struct Claims {
  Claim value = Claim::kLower;
  Claim loss = Claim::kHigher;
};
// Units off: the metric falls, losses rise. Units trained: the other way round.
constexpr Claims kOffClaims = {Claim::kLower, Claim::kHigher};
constexpr Claims kTrainedClaims = {Claim::kHigher, Claim::kLower};

OutputJson contrasts_json(const MeasureContrasts& contrasts, const Claims& claims);
OutputJson test_json(const DiagonalTest& test);

// A row for every measure of a contrast.
class ContrastTable {
 public:
  // verdict: the last column's title, what is claimed.
  ContrastTable(const Claims& claims, const std::string& verdict);
  void add(const std::string& task, const std::string& metric, const std::string& against,
           const MeasureContrasts& contrasts);
  // With the legend of its columns.
  void print() const;

 private:
  void row(const std::string& task, const std::string& measure, const std::string& against,
           const Contrast& contrast, Claim claim);
  Claims claims_;
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
