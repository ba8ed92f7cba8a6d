#include "taskneuron/train/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/check.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/random.h"

namespace taskneuron {

namespace {

constexpr double kPi = 3.14159265358979323846;

// Cuts a list into pieces of at most `size`.
std::vector<std::vector<ExampleRef>> cut(const std::vector<ExampleRef>& list, std::int64_t size) {
  std::vector<std::vector<ExampleRef>> pieces;
  for (std::size_t begin = 0; begin < list.size(); begin += static_cast<std::size_t>(size)) {
    const std::size_t end = std::min(list.size(), begin + static_cast<std::size_t>(size));
    pieces.emplace_back(list.begin() + static_cast<std::ptrdiff_t>(begin),
                        list.begin() + static_cast<std::ptrdiff_t>(end));
  }
  return pieces;
}

std::int64_t pieces_of(std::int64_t rows, std::int64_t batch) { return (rows + batch - 1) / batch; }

// A task's rows in an order that is shuffled anew whenever it is used up.
class Cycle {
 public:
  Cycle(std::int64_t task, std::int64_t rows)
      : task_(task), order_(static_cast<std::size_t>(rows)) {
    std::iota(order_.begin(), order_.end(), 0);
    next_ = order_.size();
  }
  ExampleRef next(Random& random) {
    if (next_ == order_.size()) {
      random.shuffle(order_);
      next_ = 0;
    }
    return {task_, order_[next_++]};
  }

 private:
  std::int64_t task_;
  std::vector<std::int64_t> order_;
  std::size_t next_;
};

}  // namespace

ScheduleKind parse_schedule(const std::string& name) {
  if (name == "constant") return ScheduleKind::kConstant;
  if (name == "linear") return ScheduleKind::kLinear;
  if (name == "cosine") return ScheduleKind::kCosine;
  throw UsageError("schedule", name, "constant, linear or cosine");
}

double Schedule::at(std::int64_t step) const {
  if (step <= warmup_steps) {
    return learning_rate * static_cast<double>(step) / static_cast<double>(warmup_steps);
  }
  const std::int64_t rest = std::max<std::int64_t>(1, steps - warmup_steps);
  const double done = static_cast<double>(step - 1 - warmup_steps) / static_cast<double>(rest);
  switch (kind) {
    case ScheduleKind::kConstant: return learning_rate;
    case ScheduleKind::kLinear: return learning_rate * std::max(0.0, 1 - done);
    case ScheduleKind::kCosine:
      return learning_rate * (1 + std::cos(kPi * std::min(1.0, done))) / 2;
  }
  return learning_rate;
}

void parse_mixing(const std::string& text, SamplingOptions& options) {
  if (text == "proportional") {
    options.mixing = Mixing::kProportional;
    return;
  }
  if (text == "equal") {
    options.mixing = Mixing::kEqual;
    return;
  }
  const std::string prefix = "temperature=";
  if (text.rfind(prefix, 0) == 0) {
    const std::string number = text.substr(prefix.size());
    char* end = nullptr;
    options.mixing = Mixing::kTemperature;
    options.temperature = std::strtod(number.c_str(), &end);
    if (!number.empty() && *end == '\0' && options.temperature > 0 &&
        std::isfinite(options.temperature)) {
      return;
    }
  }
  throw UsageError("mixing", text, "proportional, equal or temperature=NUMBER above 0");
}

Sampler::Sampler(std::vector<std::int64_t> rows, const SamplingOptions& options)
    : rows_(std::move(rows)), options_(options) {
  TN_CHECK(options_.batch > 0 && !rows_.empty());
  std::int64_t total = 0, pieces = 0;
  for (const std::int64_t count : rows_) {
    TN_CHECK_GT(count, 0);
    total += count;
    pieces += pieces_of(count, options_.batch);
  }
  const bool by_task = options_.one_task_per_step && options_.mixing == Mixing::kProportional;
  steps_per_epoch_ = by_task ? pieces : pieces_of(total, options_.batch);
}

std::vector<std::vector<ExampleRef>> Sampler::epoch(std::int64_t number) const {
  Random random(options_.seed, fmt::format("epoch {}", number));
  std::vector<std::vector<ExampleRef>> steps;
  std::vector<ExampleRef> all;
  for (std::size_t t = 0; t < rows_.size(); ++t) {
    for (std::int64_t r = 0; r < rows_[t]; ++r) all.push_back({static_cast<std::int64_t>(t), r});
    if (!options_.one_task_per_step) continue;
    random.shuffle(all);
    for (auto& piece : cut(all, options_.batch)) steps.push_back(std::move(piece));
    all.clear();
  }
  if (options_.one_task_per_step) {
    random.shuffle(steps);
    return steps;
  }
  random.shuffle(all);
  return cut(all, options_.batch);
}

std::vector<std::vector<ExampleRef>> Sampler::drawn(std::int64_t steps) const {
  Random random(options_.seed, "mixing");
  std::vector<Cycle> cycles;
  std::vector<double> weights;
  for (std::size_t t = 0; t < rows_.size(); ++t) {
    cycles.emplace_back(static_cast<std::int64_t>(t), rows_[t]);
    const auto count = static_cast<double>(rows_[t]);
    weights.push_back(
        options_.mixing == Mixing::kEqual ? 1 : std::pow(count, 1 / options_.temperature));
  }
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  const auto draw_task = [&] {
    double point = random.uniform() * total;
    std::size_t t = 0;
    while (t + 1 < weights.size() && point >= weights[t]) point -= weights[t++];
    return t;
  };
  std::vector<std::vector<ExampleRef>> result(static_cast<std::size_t>(steps));
  for (auto& step : result) {
    std::size_t task = draw_task();
    for (std::int64_t i = 0; i < options_.batch; ++i) {
      if (i > 0 && !options_.one_task_per_step) task = draw_task();
      step.push_back(cycles[task].next(random));
    }
  }
  return result;
}

std::vector<std::vector<ExampleRef>> Sampler::steps(std::int64_t steps) const {
  if (options_.mixing != Mixing::kProportional) return drawn(steps);
  std::vector<std::vector<ExampleRef>> result;
  for (std::int64_t number = 0; static_cast<std::int64_t>(result.size()) < steps; ++number) {
    for (auto& step : epoch(number)) {
      if (static_cast<std::int64_t>(result.size()) < steps) result.push_back(std::move(step));
    }
  }
  return result;
}

}  // namespace taskneuron
