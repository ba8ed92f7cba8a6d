#include "taskneuron/continual/distillation.h"

#include <algorithm>

#include "base/check.h"
#include "base/torch_compat.h"
#include "model/loss.h"
#include "model/operations.h"

namespace taskneuron {

namespace {

// Σ weight of the targets at each row that has logits: [N].
at::Tensor row_weights(const Batch& batch, const at::Tensor& like) {
  std::vector<double> of_row(batch.ids.size(), 0), weights;
  for (const Target& target : batch.targets) {
    of_row[static_cast<std::size_t>(target.row)] += target.weight;
  }
  for (const Segment& segment : batch.segments) {
    weights.insert(weights.end(), of_row.begin() + segment.end - segment.logit_rows,
                   of_row.begin() + segment.end);
  }
  return at::tensor(weights, at::kDouble).to(like.device(), wide_type(like));
}

at::Tensor log_probabilities(const Decoder& decoder, const at::Tensor& features,
                             double temperature) {
  const at::Tensor logits = linear(features, decoder.weights().head);
  return at::log_softmax(logits.to(wide_type(logits)) / temperature, -1);
}

}  // namespace

Distillation::Distillation(const Decoder& teacher, const DistillationOptions& options)
    : teacher_(teacher), options_(options) {
  TN_CHECK_GT(options.temperature, 0);
}

double Distillation::add(const StepView& step) {
  double sum = 0;
  for (const Batch& batch : step.loss.batches(step.examples, step.weight)) {
    sum += add_batch(batch, step);
  }
  return sum;
}

double Distillation::add_batch(const Batch& batch, const StepView& step) const {
  const Decoder& student = step.model.decoder;
  at::Tensor taught;
  {
    const at::NoGradGuard no_gradients;
    NeuronHook none;
    taught = teacher_.features(batch, none);
  }
  const at::Tensor features = student.features(batch, step.loss.hook());
  // The head is left slice by slice, and the rest of the model once, with the slices' gradient.
  const at::Tensor leaf = features.detach().requires_grad_();
  const at::Tensor weights = row_weights(batch, features);
  const double temperature = options_.temperature;
  const double scale = options_.lambda * temperature * temperature;
  const std::int64_t slice =
      std::max<std::int64_t>(1, kMaxLogits / student.weights().head.weight.size(0));
  double sum = 0;
  for (std::int64_t begin = 0; begin < leaf.size(0); begin += slice) {
    const std::int64_t rows = std::min(slice, leaf.size(0) - begin);
    at::Tensor target;
    {
      const at::NoGradGuard no_gradients;
      target = log_probabilities(teacher_, taught.narrow(0, begin, rows), temperature);
    }
    const at::Tensor own = log_probabilities(student, leaf.narrow(0, begin, rows), temperature);
    const at::Tensor divergence = (target.exp() * (target - own)).sum(-1);
    const at::Tensor loss = (divergence * weights.narrow(0, begin, rows)).sum() * scale;
    sum += loss.item<double>();
    loss.backward();
  }
  if (features.requires_grad() && leaf.grad().defined()) features.backward(leaf.grad());
  return sum;
}

}  // namespace taskneuron
