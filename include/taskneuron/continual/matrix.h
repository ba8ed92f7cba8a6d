#pragma once

#include <optional>
#include <string>
#include <vector>

namespace taskneuron {

// What was measured of a stream of tasks (method, "Question 3"). Tasks in the stream's order,
// counted from 0; what was not measured is nothing.
struct StreamResults {
  std::vector<std::string> tasks;
  std::vector<std::vector<std::optional<double>>> matrix;  // [i][j]: task i after stage j
  std::vector<std::optional<double>> zero_shot;            // z_i: the base model
  std::vector<std::optional<double>> single;  // A_i: trained from the base on task i alone
};

// Metrics of a stream; nothing where what they need was not measured, or divides by 0.
struct StreamMetrics {
  std::optional<double> cl;
  std::vector<std::optional<double>> fg;           // [j], nothing for the first stage
  std::vector<std::optional<double>> fg_diagonal;  // with a[i,i] in A_i's place
  std::optional<double> bwt;
  std::optional<double> fwt;
  std::optional<double> forgetting;
};

// REQUIRES a square matrix with zero_shot and single of its size.
StreamMetrics stream_metrics(const StreamResults& results);

// The field uses the same letters for different things, so every metric is printed with this.
struct StreamFormula {
  const char* key;      // in JSON
  const char* name;     // in tables
  const char* formula;  // stages and tasks counted from 1
  bool higher_is_better;
};
const std::vector<StreamFormula>& stream_formulas();

}  // namespace taskneuron
