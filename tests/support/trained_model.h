#pragma once

#include <vector>

#include "support/task_on_model.h"
#include "taskneuron/train/trainer.h"

namespace taskneuron::test {

// A TrainableModel's options for every third unit of a site, from the second layer on.
inline TrainableOptions every_third_unit(const ModelConfig& config, Site site) {
  TrainableOptions options;
  const SiteShape shape = site_shape(config, site);
  for (std::int64_t l = 0; l < shape.layers; ++l) {
    std::vector<std::int64_t>& units = options.units[site].emplace_back();
    for (std::int64_t j = l; l > 0 && j < shape.width; j += 3) units.push_back(j);
  }
  return options;
}

inline TrainableOptions low_rank(std::uint64_t seed) {
  TrainableOptions options;
  options.part = TrainedPart::kAdapters;
  options.lora.rank = 2;
  options.lora.seed = seed;
  options.lora.targets = {"query", "value", "attention-output", "up", "down"};
  return options;
}

// So that adapters, whose B starts at zero, are at a general place.
inline void perturb(const std::vector<ParameterPtr>& parameters, double size) {
  for (const ParameterPtr& parameter : parameters) {
    parameter->master.add_(at::randn(parameter->master.sizes(), parameter->master.options()), size);
    parameter->store();
  }
}

// The slope of `function` along a random direction of one parameter, by central differences,
// against that of a gradient shaped as its master. float64 models.
template <typename Function>
void check_slope(Parameter& parameter, const at::Tensor& gradient, const Function& function) {
  constexpr double kStep = 1e-6;
  const at::Tensor start = parameter.master.clone();
  const at::Tensor direction = at::randn(start.sizes(), start.options());
  const auto at_distance = [&](double distance) {
    parameter.master.copy_(start + distance * direction);
    parameter.store();
    return function();
  };
  const double measured = (at_distance(kStep) - at_distance(-kStep)) / (2 * kStep);
  at_distance(0);
  const double slope = (gradient * direction).sum().item<double>();
  EXPECT_TRUE(std::abs(slope - measured) <= 1e-6 * std::max(1.0, std::abs(measured)))
      << parameter.key() << ": " << slope << " " << measured;
}

inline TrainerOptions some_steps(std::int64_t steps, std::int64_t batch) {
  TrainerOptions options;
  options.schedule.learning_rate = 0.005;
  options.schedule.steps = steps;
  options.sampling.batch = batch;
  return options;
}

inline std::vector<at::Tensor> copies_of(const std::vector<ParameterPtr>& parameters,
                                         at::Tensor Parameter::*member) {
  std::vector<at::Tensor> copies;
  for (const ParameterPtr& parameter : parameters) copies.push_back(((*parameter).*member).clone());
  return copies;
}

// Keeps the gradient that reaches it.
class Keep : public StepTerm {
 public:
  std::string name() const override { return "keep"; }
  double add(const StepView& step) override {
    gradients = copies_of(step.model.parameters, &Parameter::gradient);
    return 0;
  }
  std::vector<at::Tensor> gradients;
};

// A fixture of tests/fixtures/end_to_end in float64.
inline TaskOnModel wide(const std::string& family) {
  const std::filesystem::path folder = fixtures() / "end_to_end" / family;
  return TaskOnModel(folder / "model", folder / "task", "train", 0, at::kDouble);
}

}  // namespace taskneuron::test
