#include "taskneuron/model/parameter.h"

#include "base/torch_compat.h"
#include "model/matrix_product.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

std::string Parameter::key() const {
  std::string key = tensor;
  if (axis != 0) key += ":" + std::to_string(axis);
  if (first != 0) key += "+" + std::to_string(first);
  return key;
}

void Parameter::activate(const at::Tensor& positions) {
  active = positions;
  active_units = active.defined() ? units.index_select(0, active) : units;
}

void Parameter::add_product(const at::Tensor& dy, const at::Tensor& x) {
  add_product_of_columns(active_units.defined() ? dy.index_select(1, active_units) : dy, x);
}

void Parameter::add_product_of_columns(const at::Tensor& columns, const at::Tensor& dy) {
  TN_CHECK(gradient.defined());
  if (columns.size(1) == 0) return;
  if (!active.defined()) return add_gradient_product(gradient, columns, dy);
  const at::Tensor part = at::zeros({columns.size(1), dy.size(1)}, gradient.options());
  add_gradient_product(part, columns, dy);
  gradient.index_add_(0, active, part);
}

void Parameter::add(const at::Tensor& values) {
  TN_CHECK(gradient.defined());
  const at::Tensor wide = values.to(gradient.scalar_type());
  if (active.defined()) {
    gradient.index_add_(0, active, wide);
  } else {
    gradient.add_(wide);
  }
}

void Parameter::clear_gradient() {
  if (gradient.defined()) {
    gradient.zero_();
  } else {
    gradient = at::zeros_like(master);
  }
}

void Parameter::clear_inactive_gradient() {
  if (!active.defined()) return;
  const at::Tensor kept = gradient.index_select(0, active);
  gradient.zero_().index_copy_(0, active, kept);
}

void Parameter::store() const {
  const at::NoGradGuard no_gradients;
  for (at::Tensor place : places) {
    const at::Tensor values = master.to(place.scalar_type());
    if (values.is_same(place)) continue;
    if (units.defined()) {
      place.index_copy_(0, units, values);
    } else if (place.data_ptr() != values.data_ptr()) {
      place.copy_(values);
    }
  }
}

at::Tensor Parameter::stored_value() const {
  // Whole tensors turn with the storage; parts of one are [units, rest] and turn with their axis.
  const bool turns = master.dim() == 2 && (units.defined() ? axis == 1 : transposed);
  return turns ? master.t() : master;
}

at::Tensor Parameter::stored_units() const {
  if (units.defined()) return units + first;
  const at::Tensor value = stored_value();
  return at::arange(first, first + value.size(axis), at::kLong);
}

}  // namespace taskneuron
