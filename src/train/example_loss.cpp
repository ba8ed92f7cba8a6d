#include "taskneuron/train/example_loss.h"

#include <cmath>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"
#include "taskneuron/model/recompute.h"

namespace taskneuron {

namespace {

std::int64_t tokens_of(const AnswerExample& example) {
  return static_cast<std::int64_t>(example.ids.size());
}

// How much of the examples goes into one pass.
struct PassSize {
  std::int64_t tokens = 0;  // about this many
  std::int64_t examples = 0;
};

PassSize pass_size(const std::vector<PrefixGroup>& groups, const PassOptions& options) {
  std::int64_t tokens = 0, examples = 0;
  for (const PrefixGroup& group : groups) {
    examples += static_cast<std::int64_t>(group.examples.size());
    for (const AnswerExample* example : group.examples) tokens += tokens_of(*example);
  }
  // As few forward passes as the limits allow, of about the same size.
  const double wanted =
      std::ceil(static_cast<double>(tokens) / static_cast<double>(options.limits.max_tokens));
  const double count = std::max(wanted, static_cast<double>(options.accumulate));
  return {static_cast<std::int64_t>(std::ceil(static_cast<double>(tokens) / count)),
          options.limits.max_examples > 0
              ? options.limits.max_examples
              : (examples + options.accumulate - 1) / options.accumulate};
}

}  // namespace

ExampleLoss::ExampleLoss(const TrainableModel& model, NeuronHook& hook, const PassOptions& options)
    : model_(model), hook_(hook), options_(options) {}

void ExampleLoss::set_limits(const BatchMemory& memory) {
  options_.limits = memory.limits;
  options_.recompute = memory.recompute;
}

std::vector<std::vector<PrefixGroup>> ExampleLoss::passes(
    const std::vector<PrefixGroup>& groups) const {
  const PassSize most = pass_size(groups, options_);
  std::vector<std::vector<PrefixGroup>> passes;
  std::int64_t tokens = 0, examples = 0;
  for (const PrefixGroup& group : groups) {
    bool starts_group = true;
    for (const AnswerExample* example : group.examples) {
      const std::int64_t own = tokens_of(*example);
      if (passes.empty() || examples == most.examples || tokens + own / 2 > most.tokens ||
          tokens + own > options_.limits.max_tokens) {
        passes.emplace_back();
        tokens = examples = 0;
        starts_group = true;
      }
      if (starts_group) passes.back().push_back({{}, group.prefix_tokens});
      starts_group = false;
      passes.back().back().examples.push_back(example);
      tokens += own;
      ++examples;
    }
  }
  for (auto& pass : passes) {
    for (PrefixGroup& group : pass) {
      if (group.examples.size() == 1) group.prefix_tokens = 0;
    }
  }
  return passes;
}

std::vector<Batch> ExampleLoss::batches(const std::vector<PrefixGroup>& examples,
                                        double weight) const {
  std::vector<Batch> batches;
  for (const auto& groups : passes(examples)) {
    Batch& batch = batches.emplace_back(shared_prefix_batch(groups));
    for (Target& target : batch.targets) target.weight *= weight;
  }
  return batches;
}

double ExampleLoss::backward_of(const Batch& batch) const {
  double loss = 0;
  const auto check = [&](const at::Tensor& nll) {
    const at::Tensor values = nll.to(at::kDouble).cpu();
    for (std::size_t i = 0; i < batch.targets.size(); ++i) {
      loss += values.data_ptr<double>()[i] * batch.targets[i].weight;
    }
    if (!std::isfinite(loss)) throw NonFiniteError("");
  };
  if (options_.recompute) {
    recomputed_backward(model_.decoder, batch, hook_, nullptr, check);
    return loss;
  }
  at::Tensor nll;
  const at::Tensor features = model_.decoder.features(batch, hook_);
  const at::Tensor total = model_.decoder.target_loss(features, batch, &nll);
  check(nll);
  if (total.requires_grad()) total.backward();
  return loss;
}

double ExampleLoss::backward(const std::vector<PrefixGroup>& examples, double weight) const {
  double loss = 0;
  for (const Batch& batch : batches(examples, weight)) loss += backward_of(batch);
  return loss;
}

}  // namespace taskneuron
