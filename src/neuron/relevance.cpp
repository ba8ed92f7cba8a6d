#include "taskneuron/neuron/relevance.h"

#include "base/check.h"
#include "base/torch_compat.h"
#include "model/kernels/dispatch.h"

namespace taskneuron {

namespace {

at::Tensor zeros(const SiteShape& shape) {
  return at::zeros({shape.layers, shape.width}, at::kDouble);
}

// The units' part of sums [layers, width].
at::Tensor columns(const at::Tensor& sums, const UnitBlock& units, std::int64_t count) {
  return sums[units.layer].narrow(0, units.first, count);
}

// Sums by example need an example's rows in one span.
void require_apart(const std::vector<RowSpan>& spans) {
  for (std::size_t s = 1; s < spans.size(); ++s) {
    TN_CHECK_GT(spans[s].example, spans[s - 1].example);
  }
}

}  // namespace

Relevance::Relevance(const std::map<Site, SiteShape>& shapes, Sums sums)
    : shapes_(shapes), kind_(sums) {
  for (const auto& [site, shape] : shapes) {
    SiteSums& target = sums_[site];
    target.signed_sum = zeros(shape);
    if (sums == Sums::kSignedOnly) continue;
    target.example_abs_sum = zeros(shape);
    target.token_abs_sum = zeros(shape);
    target.example_sq_sum = zeros(shape);
  }
}

Relevance Relevance::empty_copy() const { return Relevance(shapes_, kind_); }

void Relevance::merge(const Relevance& other) {
  for (auto& [site, sums] : sums_) {
    const SiteSums& more = other.sums_.at(site);
    sums.signed_sum += more.signed_sum;
    if (kind_ == Sums::kSignedOnly) continue;
    sums.example_abs_sum += more.example_abs_sum;
    sums.token_abs_sum += more.token_abs_sum;
    sums.example_sq_sum += more.example_sq_sum;
  }
}

std::vector<at::Tensor> Relevance::tensors() const {
  std::vector<at::Tensor> all;
  for (const auto& item : sums_) {
    const SiteSums& sums = item.second;
    for (const at::Tensor& one :
         {sums.signed_sum, sums.example_abs_sum, sums.token_abs_sum, sums.example_sq_sum}) {
      if (one.defined()) all.push_back(one);
    }
  }
  return all;
}

void Relevance::add(const UnitBlock& units, const at::Tensor& values,
                    const std::vector<RowSpan>& spans) {
  const at::Tensor wide = values.to(at::kFloat);
  if (kind_ == Sums::kSignedOnly) {
    columns(sums_.at(units.site).signed_sum, units, wide.size(1)) +=
        wide.sum(at::IntArrayRef{0}, false, at::kDouble).cpu();
    return;
  }
  const auto examples = static_cast<std::int64_t>(spans.size());
  at::Tensor by_example = at::empty({examples, wide.size(1)}, wide.options());
  at::Tensor absolute = at::empty({examples, wide.size(1)}, wide.options());
  require_apart(spans);
  for (std::int64_t s = 0; s < examples; ++s) {
    const RowSpan& span = spans[static_cast<std::size_t>(s)];
    const at::Tensor rows = wide.narrow(0, span.begin, span.end - span.begin);
    by_example[s] = rows.sum(0);
    absolute[s] = rows.abs().sum(0);
  }
  add_rows(units, by_example.cpu(), absolute.cpu());
}

void Relevance::add_products(const UnitBlock& units, const at::Tensor& gradient,
                             const at::Tensor& activation, const std::vector<RowSpan>& spans) {
  if (!kernels::covers(gradient)) {
    const at::Tensor wide = gradient.to(at::kFloat);
    return add(units, activation.defined() ? wide * activation : wide, spans);
  }
  const auto examples = static_cast<std::int64_t>(spans.size());
  const std::int64_t width = gradient.size(1);
  const at::Tensor rows = gradient.contiguous();
  const at::Tensor values = activation.defined() ? activation.contiguous() : at::Tensor();
  const at::Tensor sums = at::zeros({examples, width}, at::kFloat);
  const at::Tensor magnitudes = at::zeros({examples, width}, at::kFloat);
  kernels::for_type_of(rows, [&](auto zero) {
    using T = decltype(zero);
    at::parallel_for(0, examples, 1, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t s = begin; s < end; ++s) {
        const RowSpan& span = spans[static_cast<std::size_t>(s)];
        kernels::table<T>().column_sums(
            {width, kernels::data<T>(rows), kernels::data<T>(values),
             kernels::data<float>(sums) + s * width, kernels::data<float>(magnitudes) + s * width},
            span.begin, span.end);
      }
    });
  });
  add_sums(units, sums, magnitudes, spans);
}

void Relevance::add_sums(const UnitBlock& units, const at::Tensor& products,
                         const at::Tensor& magnitudes, const std::vector<RowSpan>& spans) {
  if (kind_ == Sums::kSignedOnly) {
    columns(sums_.at(units.site).signed_sum, units, products.size(1)) +=
        products.sum(at::IntArrayRef{0}, false, at::kDouble);
    return;
  }
  require_apart(spans);
  add_rows(units, products, magnitudes);
}

void Relevance::add_example(const UnitBlock& units, const at::Tensor& value) {
  const at::Tensor row = value.to(at::kFloat).cpu().unsqueeze(0);
  add_rows(units, row, row.abs());
}

void Relevance::add_rows(const UnitBlock& units, const at::Tensor& signed_values,
                         const at::Tensor& absolute_values) {
  SiteSums& sums = sums_.at(units.site);
  const at::Tensor wide = signed_values.to(at::kDouble);
  const std::int64_t count = wide.size(1);
  columns(sums.signed_sum, units, count) += wide.sum(0);
  columns(sums.example_abs_sum, units, count) += wide.abs().sum(0);
  columns(sums.example_sq_sum, units, count) += wide.square().sum(0);
  columns(sums.token_abs_sum, units, count) +=
      absolute_values.sum(at::IntArrayRef{0}, false, at::kDouble);
}

}  // namespace taskneuron
