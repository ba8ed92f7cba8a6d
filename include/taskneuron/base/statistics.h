#pragma once

#include <cstdint>
#include <vector>

namespace taskneuron {

double mean(const std::vector<double>& values);
// Sample standard deviation (n − 1); 0 for fewer than two values.
double standard_deviation(const std::vector<double>& values);
// standard_deviation / √n; 0 for fewer than two values.
double standard_error(const std::vector<double>& values);

// From 0 up; ties get their mean rank.
std::vector<double> ranks(const std::vector<double>& values);

double pearson(const std::vector<double>& x, const std::vector<double>& y);
// Pearson correlation of ranks.
double spearman(const std::vector<double>& x, const std::vector<double>& y);

}  // namespace taskneuron
