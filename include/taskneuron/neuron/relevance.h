#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <vector>

#include "taskneuron/model/batch.h"
#include "taskneuron/neuron/scores.h"

namespace taskneuron {

// Which sums a run can form. Examples that share a prefix cannot be told apart in it, so only the
// signed sum is exact then.
enum class Sums { kAll, kSignedOnly };

// Units of one layer at one site: as many as values have columns, from `first` on.
struct UnitBlock {
  Site site = Site::kAct;
  std::int64_t layer = 0;
  std::int64_t first = 0;
};

// Running sums of one task's relevance, float64. Not thread-safe; one per thread, merged at the
// end. Within an example sums are float32 in row order; over examples float64.
class Relevance {
 public:
  // shapes: the sites that are summed.
  Relevance(const std::map<Site, SiteShape>& shapes, Sums sums);

  // Adds the rows of one layer: values [rows, width], each row's contribution (∂loss_e/∂ω · ω for
  // the first-order score). Rows of one example must come in a single call for
  // the same units.
  void add(const UnitBlock& units, const at::Tensor& values, const std::vector<RowSpan>& spans);
  // The same for values gradient · activation, or gradient alone where activation is undefined,
  // formed and added up in one pass over both. [rows, width], in the model's compute dtype.
  void add_products(const UnitBlock& units, const at::Tensor& gradient,
                    const at::Tensor& activation, const std::vector<RowSpan>& spans);
  // Adds what add_products would form: sums over each span's rows of the products and of their
  // magnitudes, float32 [spans, width].
  void add_sums(const UnitBlock& units, const at::Tensor& products, const at::Tensor& magnitudes,
                const std::vector<RowSpan>& spans);
  // Adds one example's value per unit directly: [width].
  void add_example(const UnitBlock& units, const at::Tensor& value);

  // The same sites and sums, all zero.
  Relevance empty_copy() const;
  // Adds the other's sums, which are of the same sites.
  void merge(const Relevance& other);

  // All sums, to be added to in place.
  std::vector<at::Tensor> tensors() const;

  // Moves the sums out; counts and info are the caller's to fill.
  std::map<Site, SiteSums> take() { return std::move(sums_); }

 private:
  void add_rows(const UnitBlock& units, const at::Tensor& signed_values,
                const at::Tensor& absolute_values);

  std::map<Site, SiteShape> shapes_;
  Sums kind_;
  std::map<Site, SiteSums> sums_;
};

}  // namespace taskneuron
