#include "taskneuron/continual/unit_projection.h"

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

// What is left of a direction, as a share of it, when it counts as dependent on those before:
// changes are differences of float32 weights.
constexpr double kDependent = 1e-6;

// One row per unit.
at::Tensor by_unit(const Parameter& parameter, const at::Tensor& values) {
  const std::int64_t units = parameter.units.defined() ? parameter.units.numel() : 1;
  return values.reshape({units, units > 0 ? values.numel() / units : 0});
}

at::Tensor lengths(const at::Tensor& rows) {
  return rows.square().sum(-1, /*keepdim=*/true).sqrt();
}

// Gram-Schmidt over [n, tasks, width] in float64, in place, each direction twice against those
// before it: orthonormal, or zero.
void orthonormalise(at::Tensor& directions) {
  for (std::int64_t k = 0; k < directions.size(1); ++k) {
    const at::Tensor given = directions.select(1, k);
    at::Tensor rest = given.clone();
    for (int pass = 0; pass < 2; ++pass) {
      for (std::int64_t j = 0; j < k; ++j) {
        const at::Tensor other = directions.select(1, j);
        rest -= (rest * other).sum(-1, /*keepdim=*/true) * other;
      }
    }
    const at::Tensor length = lengths(rest);
    given.copy_(
        at::where(length > lengths(given) * kDependent, rest / length, at::zeros_like(rest)));
  }
}

}  // namespace

UnitProjection::Basis UnitProjection::basis_of(const Parameter& parameter) const {
  std::vector<at::Tensor> changes;
  for (const UnitValues& task : directions_) {
    if (!task.knows(parameter)) continue;
    const at::Tensor values = task.of_or_zero(parameter).to(parameter.master.device(), at::kDouble);
    changes.push_back(by_unit(parameter, values));
  }
  if (changes.empty() || parameter.numel() == 0) return {};
  at::Tensor directions = at::stack(changes, 1);
  const at::Tensor rows = directions.ne(0).flatten(1).any(1).nonzero().squeeze(1);
  if (rows.numel() == 0) return {};
  directions = directions.index_select(0, rows);
  orthonormalise(directions);
  return {rows, directions.to(parameter.master.scalar_type())};
}

double UnitProjection::add(const StepView& step) {
  if (parameters_ != step.model.parameters) {
    parameters_ = step.model.parameters;
    bases_.clear();
    for (const ParameterPtr& parameter : parameters_) bases_.push_back(basis_of(*parameter));
  }
  for (std::size_t p = 0; p < parameters_.size(); ++p) {
    const Basis& basis = bases_[p];
    if (!basis.rows.defined()) continue;
    TN_CHECK(parameters_[p]->gradient.is_contiguous());  // so that this is a view of it
    at::Tensor gradient = by_unit(*parameters_[p], parameters_[p]->gradient);
    const at::Tensor own = gradient.index_select(0, basis.rows).unsqueeze(1);  // [n, 1, width]
    const at::Tensor along = at::matmul(own, basis.directions.transpose(1, 2));
    gradient.index_copy_(0, basis.rows, (own - at::matmul(along, basis.directions)).squeeze(1));
  }
  return 0;
}

}  // namespace taskneuron
