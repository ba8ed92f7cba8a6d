#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace taskneuron {

enum class ScheduleKind { kConstant, kLinear, kCosine };
// "constant", "linear", "cosine". Throws UsageError for anything else.
ScheduleKind parse_schedule(const std::string& name);

// The learning rate of each step: up linearly over the warm-up steps, then constant, or down to
// zero after the last step.
struct Schedule {
  ScheduleKind kind = ScheduleKind::kConstant;
  double learning_rate = 1e-4;
  std::int64_t warmup_steps = 0;
  std::int64_t steps = 0;
  double at(std::int64_t step) const;  // step: from 1
};

// How examples of several tasks are mixed.
enum class Mixing {
  kProportional,  // every row once an epoch
  kEqual,         // every task as often as any other
  kTemperature,   // a task of n rows with weight n^(1/T)
};

struct SamplingOptions {
  Mixing mixing = Mixing::kProportional;
  double temperature = 2;
  std::int64_t batch = 16;         // examples per step
  bool one_task_per_step = false;  // each step's examples are of one task
  std::uint64_t seed = 0;
};
// "proportional", "equal" or "temperature=T". Throws UsageError for anything else.
void parse_mixing(const std::string& text, SamplingOptions& options);

struct ExampleRef {
  std::int64_t task = 0;
  std::int64_t row = 0;
};

// Which examples each step trains on: a function of the seed alone, so that a resumed run goes on
// with the very batches that it would have had.
class Sampler {
 public:
  // rows: of each task, none of them empty.
  Sampler(std::vector<std::int64_t> rows, const SamplingOptions& options);

  std::int64_t steps_per_epoch() const { return steps_per_epoch_; }
  // The examples of steps 1..steps.
  std::vector<std::vector<ExampleRef>> steps(std::int64_t steps) const;

 private:
  std::vector<std::vector<ExampleRef>> epoch(std::int64_t number) const;
  std::vector<std::vector<ExampleRef>> drawn(std::int64_t steps) const;

  std::vector<std::int64_t> rows_;
  SamplingOptions options_;
  std::int64_t steps_per_epoch_ = 0;
};

}  // namespace taskneuron
