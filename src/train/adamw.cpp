#include "taskneuron/train/adamw.h"

#include <cmath>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

struct Step {
  double learning_rate;
  double factor;  // of the gradient
  AdamWOptions options;
  at::Tensor unit_rates;  // of the parameter: float64 [units], factors; undefined: 1

  // The step of one unit, on the CPU.
  Step of_unit(std::int64_t unit) const {
    Step own{learning_rate, factor, options, {}};
    if (unit_rates.defined()) own.learning_rate *= unit_rates.data_ptr<double>()[unit];
    return own;
  }
};

// Of a parameter, or of one unit of it.
template <typename T>
struct Numbers {
  T *master, *first, *second, *gradient;

  Numbers from(std::int64_t offset) const {
    return {master + offset, first + offset, second + offset, gradient + offset};
  }
};

// One unit's `width` numbers; `updates` is this step's number, from 1.
template <typename T>
void update_unit(const Numbers<T>& unit, std::int64_t width, std::int64_t updates,
                 const Step& step) {
  const auto [master, first, second, gradient] = unit;
  const auto count = static_cast<double>(updates);
  const T beta1 = static_cast<T>(step.options.beta1), beta2 = static_cast<T>(step.options.beta2);
  const T rate = static_cast<T>(step.learning_rate / (1 - std::pow(step.options.beta1, count)));
  const T root = static_cast<T>(1 / std::sqrt(1 - std::pow(step.options.beta2, count)));
  const T epsilon = static_cast<T>(step.options.epsilon);
  const T keep = static_cast<T>(1 - step.learning_rate * step.options.weight_decay);
  const T factor = static_cast<T>(step.factor);
  for (std::int64_t i = 0; i < width; ++i) {
    const T g = gradient[i] * factor;
    first[i] = beta1 * first[i] + (1 - beta1) * g;
    second[i] = beta2 * second[i] + (1 - beta2) * g * g;
    master[i] = master[i] * keep - rate * first[i] / (std::sqrt(second[i]) * root + epsilon);
    gradient[i] = 0;
  }
}

// Units of whole tensors are cut into pieces of this many numbers, for the threads.
constexpr std::int64_t kPiece = 16384;

template <typename T>
void update_on_cpu(Parameter& parameter, AdamW::State& state, const Step& step) {
  const Numbers<T> all = {parameter.master.data_ptr<T>(), state.first.template data_ptr<T>(),
                          state.second.template data_ptr<T>(), parameter.gradient.data_ptr<T>()};
  auto* updates = state.updates.template data_ptr<std::int64_t>();
  const std::int64_t total = parameter.master.numel();
  if (!parameter.units.defined()) {
    const Step whole = step.of_unit(0);
    ++updates[0];
    at::parallel_for(0, (total + kPiece - 1) / kPiece, 1,
                     [&](std::int64_t begin, std::int64_t end) {
                       const std::int64_t from = begin * kPiece, to = std::min(end * kPiece, total);
                       update_unit(all.from(from), to - from, updates[0], whole);
                     });
    return;
  }
  const std::int64_t units = parameter.units.numel(), width = units > 0 ? total / units : 0;
  const auto* active =
      parameter.active.defined() ? parameter.active.data_ptr<std::int64_t>() : nullptr;
  const std::int64_t count = active != nullptr ? parameter.active.numel() : units;
  at::parallel_for(0, count, std::max<std::int64_t>(1, kPiece / std::max<std::int64_t>(width, 1)),
                   [&](std::int64_t begin, std::int64_t end) {
                     for (std::int64_t i = begin; i < end; ++i) {
                       const std::int64_t u = active != nullptr ? active[i] : i;
                       update_unit(all.from(u * width), width, ++updates[u], step.of_unit(u));
                     }
                   });
}

// The same with LibTorch's operations, for other devices.
void update_elsewhere(Parameter& parameter, AdamW::State& state, const Step& step) {
  const AdamWOptions& o = step.options;
  const bool some = parameter.active.defined();
  const auto pick = [&](const at::Tensor& t) {
    return some ? t.index_select(0, parameter.active) : t;
  };
  const at::Tensor g = pick(parameter.gradient) * step.factor;
  const at::Tensor updates = pick(state.updates) + 1;
  const at::Tensor first = pick(state.first) * o.beta1 + g * (1 - o.beta1);
  const at::Tensor second = pick(state.second) * o.beta2 + g.square() * (1 - o.beta2);
  std::vector<std::int64_t> shape(static_cast<std::size_t>(g.dim()), 1);
  if (parameter.units.defined()) shape[0] = updates.numel();
  const at::Tensor count = updates.to(g.scalar_type()).view(shape);
  // Formed in float64 and rounded then, as on the CPU.
  const at::Tensor rates =
      step.learning_rate *
      (step.unit_rates.defined() ? pick(step.unit_rates) : at::ones_like(updates, at::kDouble));
  const at::Tensor keep = (1 - rates * o.weight_decay).to(g.scalar_type()).view(shape);
  const at::Tensor rate = rates.to(g.scalar_type()).view(shape) / (1 - at::pow(o.beta1, count));
  const at::Tensor root = at::rsqrt(1 - at::pow(o.beta2, count));
  const at::Tensor master =
      pick(parameter.master) * keep - rate * first / (second.sqrt() * root + o.epsilon);
  const auto put = [&](at::Tensor& target, const at::Tensor& value) {
    if (some) {
      target.index_copy_(0, parameter.active, value);
    } else {
      target.copy_(value);
    }
  };
  put(state.updates, updates);
  put(state.first, first);
  put(state.second, second);
  put(parameter.master, master);
  parameter.gradient.zero_();
}

}  // namespace

AdamW::AdamW(std::vector<ParameterPtr> parameters, const AdamWOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const ParameterPtr& parameter : parameters_) {
    State& state = states_.emplace_back();
    state.first = at::zeros_like(parameter->master);
    state.second = at::zeros_like(parameter->master);
    const std::int64_t counters = parameter->units.defined() ? parameter->units.numel() : 1;
    state.updates = at::zeros({counters}, parameter->master.options().dtype(at::kLong));
    parameter->clear_gradient();
  }
}

void AdamW::set_unit_rates(std::vector<at::Tensor> factors) {
  TN_CHECK(factors.empty() || factors.size() == parameters_.size());
  largest_rate_ = 1;
  for (std::size_t p = 0; p < factors.size(); ++p) {
    at::Tensor& own = factors[p];
    if (!own.defined()) continue;
    TN_CHECK(own.dim() == 1 && own.numel() == states_[p].updates.numel());
    own = own.to(states_[p].updates.device(), at::kDouble, /*non_blocking=*/false, /*copy=*/true)
              .contiguous();
    if (own.numel() == 0) continue;
    TN_CHECK((at::isfinite(own) & (own >= 0)).all().item<bool>());
    largest_rate_ = std::max(largest_rate_, own.max().item<double>());
  }
  unit_rates_ = std::move(factors);
}

double AdamW::gradient_norm() const {
  double sum = 0;
  for (const ParameterPtr& parameter : parameters_) {
    // What is not active has no gradient.
    const auto norm = parameter->gradient.norm().item<double>();
    sum += norm * norm;
  }
  return std::sqrt(sum);
}

void AdamW::update(double learning_rate, double factor) {
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    const Step step{learning_rate, factor, options_,
                    unit_rates_.empty() ? at::Tensor() : unit_rates_[p]};
    Parameter& parameter = *parameters_[p];
    if (!parameter.master.device().is_cpu()) {
      update_elsewhere(parameter, states_[p], step);
    } else if (parameter.master.scalar_type() == at::kDouble) {
      update_on_cpu<double>(parameter, states_[p], step);
    } else {
      update_on_cpu<float>(parameter, states_[p], step);
    }
  }
}

bool AdamW::may_overflow(double learning_rate, double gradient) {
  learning_rate *= largest_rate_;
  // Far enough from where float32 and bfloat16 end (3e38), squares of gradients included.
  constexpr double kWeightLimit = 1e30, kGradientLimit = 1e15;
  if (largest_weight_ < 0) {
    largest_weight_ = 0;
    for (const ParameterPtr& parameter : parameters_) {
      if (parameter->numel() == 0) continue;
      largest_weight_ = std::max(largest_weight_, parameter->master.abs().max().item<double>());
    }
  }
  // |first| / sqrt(second) is at most this, by Cauchy and Schwarz, whatever the gradients were.
  const double b1 = options_.beta1, b2 = options_.beta2;
  const double most = (1 - b1) / std::sqrt((1 - b2) * (1 - b1 * b1 / b2)) / (1 - b1);
  const double keep = std::abs(1 - learning_rate * options_.weight_decay);
  largest_weight_ = largest_weight_ * std::max(1.0, keep) + learning_rate * most;
  // Written so that a bound that is not a number counts as too large.
  return !(largest_weight_ < kWeightLimit && gradient < kGradientLimit);
}

bool AdamW::finite() const {
  const auto all_finite = [](const at::Tensor& tensor) {
    return at::isfinite(tensor).all().item<bool>();
  };
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    const Parameter& parameter = *parameters_[p];
    if (!all_finite(parameter.master) || !all_finite(states_[p].first) ||
        !all_finite(states_[p].second)) {
      return false;
    }
    for (const at::Tensor& place : parameter.places) {
      if (!all_finite(parameter.master.to(place.scalar_type()))) return false;
    }
  }
  return true;
}

void AdamW::step(double learning_rate, double factor, double largest_gradient) {
  const at::NoGradGuard no_gradients;
  std::vector<State> before;
  std::vector<at::Tensor> masters;
  const bool careful = may_overflow(learning_rate, largest_gradient);
  for (std::size_t p = 0; careful && p < parameters_.size(); ++p) {
    const State& state = states_[p];
    before.push_back({state.first.clone(), state.second.clone(), state.updates.clone()});
    masters.push_back(parameters_[p]->master.clone());
  }
  update(learning_rate, factor);
  if (careful && !finite()) {
    for (std::size_t p = 0; p < parameters_.size(); ++p) {
      parameters_[p]->master.copy_(masters[p]);
      states_[p] = before[p];
    }
    largest_weight_ = -1;
    throw NonFiniteError("the update would make weights that are not finite");
  }
  for (const ParameterPtr& parameter : parameters_) parameter->store();
}

std::int64_t AdamW::bytes() const {
  std::int64_t bytes = 0;
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    for (const at::Tensor& tensor :
         {parameters_[p]->gradient, states_[p].first, states_[p].second, states_[p].updates}) {
      bytes += static_cast<std::int64_t>(tensor.nbytes());
    }
  }
  return bytes;
}

}  // namespace taskneuron
