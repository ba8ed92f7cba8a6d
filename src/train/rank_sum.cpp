#include "train/rank_sum.h"

#include <algorithm>

#include "base/world.h"

namespace taskneuron {

RankSum::RankSum(const std::vector<TrainTask>& tasks) {
  for (const TrainTask& task : tasks) {
    lengths_.emplace_back();
    for (const AnswerExample& example : task.examples) {
      lengths_.back().push_back(static_cast<std::int64_t>(example.ids.size()));
    }
  }
}

std::vector<ExampleRef> RankSum::share(std::vector<ExampleRef> examples) const {
  const auto length = [&](const ExampleRef& ref) {
    return lengths_[static_cast<std::size_t>(ref.task)][static_cast<std::size_t>(ref.row)];
  };
  std::stable_sort(examples.begin(), examples.end(),
                   [&](const ExampleRef& a, const ExampleRef& b) { return length(a) > length(b); });
  // The longest first, each to the rank that has the least so far.
  std::vector<std::int64_t> tokens(static_cast<std::size_t>(world().size()), 0);
  std::vector<ExampleRef> own;
  for (const ExampleRef& ref : examples) {
    const auto least = std::min_element(tokens.begin(), tokens.end());
    *least += length(ref);
    if (least - tokens.begin() == world().rank()) own.push_back(ref);
  }
  return own;
}

void RankSum::reduce(StepSums& sums, TrainableModel& model) {
  std::vector<double> numbers = {sums.loss, DeferredSignals::requested() ? 1.0 : 0.0,
                                 static_cast<double>(sums.tokens)};
  world().sum(numbers);
  sums.loss = numbers[0];
  ends_ = numbers[1] > 0;
  sums.tokens = static_cast<std::int64_t>(numbers[2]);
  std::vector<at::Tensor> gradients;
  for (const ParameterPtr& parameter : model.parameters) {
    // A rank's examples need not reach everything that trains.
    if (!parameter->gradient.defined()) parameter->clear_gradient();
    gradients.push_back(parameter->gradient.cpu());  // itself, on the CPU
  }
  world().sum(gradients);
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    at::Tensor& gradient = model.parameters[i]->gradient;
    if (!gradient.device().is_cpu()) gradient.copy_(gradients[i]);
  }
}

}  // namespace taskneuron
