#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace taskneuron {

// A mean loss with its 95% interval by Student's t over examples.
struct LossInterval {
  std::size_t examples = 0;
  double mean = 0;                       // 0 without examples
  std::optional<double> standard_error;  // none for fewer than two examples
  double half_width = 0;
};
LossInterval loss_interval(const std::vector<double>& losses);

}  // namespace taskneuron
