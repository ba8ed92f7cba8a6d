#include "taskneuron/continual/fisher.h"

#include <fmt/format.h>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

// However its scope is left.
class ClearedGradients {
 public:
  explicit ClearedGradients(const TrainableModel& model) : model_(model) { clear(); }
  ~ClearedGradients() { clear(); }
  ClearedGradients(const ClearedGradients&) = delete;
  ClearedGradients& operator=(const ClearedGradients&) = delete;

  void clear() const {
    for (const ParameterPtr& parameter : model_.parameters) parameter->clear_gradient();
  }

 private:
  const TrainableModel& model_;
};

UnitValues means(const TrainableModel& model, std::vector<at::Tensor>& sums, std::int64_t count) {
  UnitValues result;
  for (std::size_t p = 0; p < sums.size(); ++p) {
    const Parameter& parameter = *model.parameters[p];
    const at::Tensor mean = (sums[p] / count).to(parameter.master.scalar_type());
    sums[p] = at::Tensor();  // each is as large as two of what it gives
    if (!at::isfinite(mean).all().item<bool>()) {
      throw NonFiniteError(fmt::format(
          "the Fisher information of '{}' is not finite: a gradient is not, or its square is too "
          "large",
          parameter.key()));
    }
    result.put(parameter, mean);
  }
  return result;
}

}  // namespace

UnitValues diagonal_fisher(
    TrainableModel& model, const ExampleLoss& loss, const std::vector<PrefixGroup>& examples,
    const std::function<void(std::int64_t examples, std::int64_t tokens)>& progress) {
  std::vector<at::Tensor> sums;
  for (const ParameterPtr& parameter : model.parameters) {
    sums.push_back(at::zeros_like(parameter->master, at::kDouble));
  }
  const ClearedGradients gradients(model);
  std::int64_t count = 0;
  for (const PrefixGroup& group : examples) {
    for (const AnswerExample* example : group.examples) {
      ++count;
      try {
        // The example loss is a mean over these tokens.
        loss.backward({{{example}, 0}}, static_cast<double>(example->answer_tokens));
      } catch (const NonFiniteError&) {
        throw NonFiniteError(
            fmt::format("the loss of example {} of the Fisher information is not finite", count));
      }
      for (std::size_t p = 0; p < sums.size(); ++p) {
        sums[p].add_(model.parameters[p]->gradient.square());
      }
      gradients.clear();
      progress(1, static_cast<std::int64_t>(example->ids.size()));
    }
  }
  TN_CHECK(count > 0);
  return means(model, sums, count);
}

}  // namespace taskneuron
