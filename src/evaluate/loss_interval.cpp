#include "taskneuron/evaluate/loss_interval.h"

#include "taskneuron/base/distributions.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {

LossInterval loss_interval(const std::vector<double>& losses) {
  LossInterval found;
  found.examples = losses.size();
  if (losses.empty()) return found;
  found.mean = mean(losses);
  if (losses.size() < 2) return found;
  found.standard_error = standard_error(losses);
  found.half_width =
      student_t_quantile(0.975, static_cast<double>(losses.size() - 1)) * *found.standard_error;
  return found;
}

}  // namespace taskneuron
