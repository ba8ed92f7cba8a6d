#pragma once

#include <ATen/core/Tensor.h>

#include <memory>
#include <string>
#include <vector>

namespace taskneuron {

// The trained part of one weight tensor: all of it, or the rows or columns that belong to some
// units. Gradient and master are float32 (float64 in a float64 model) and hold one row per unit,
// whichever axis the units count along, so that cost and memory grow with the number of units.
struct Parameter {
  std::string tensor;       // its name in the checkpoint
  int axis = 0;             // of the stored tensor, which the units count along
  bool transposed = false;  // whether the stored tensor lies the other way than `places`
  std::int64_t first = 0;   // where the matrix begins on that axis (fused gate and up: F for up)
  at::Tensor units;         // int64, ascending, counted from `first`; undefined: the whole tensor
  at::Tensor master;        // [units, ...]; whole: the matrix as [out, in], or a vector
  at::Tensor gradient;      // like master; undefined until a backward pass adds to it
  at::Tensor active;        // int64 positions in `units` that train at the moment; undefined: all
  at::Tensor active_units;  // units[active], or units
  std::vector<at::Tensor> places;  // what the decoder multiplies, units along dimension 0

  std::int64_t numel() const { return master.numel(); }
  // What tells it from a model's other parameters: its tensor, ":1" where the units count along
  // axis 1, and "+F" where the matrix begins at F.
  std::string key() const;

  // Which positions in `units` the following backward passes form gradients of (undefined: all).
  void activate(const at::Tensor& positions);
  // += dyᵀ x over the active units: dy [rows, out], x [rows, in].
  void add_product(const at::Tensor& dy, const at::Tensor& x);
  // The same where the active units have been picked out: += columnsᵀ dy.
  void add_product_of_columns(const at::Tensor& columns, const at::Tensor& dy);
  // += values of the active units: [active units, ...], any float type.
  void add(const at::Tensor& values);
  // Zero, and there from now on.
  void clear_gradient();
  // Zero where a unit is not active.
  void clear_inactive_gradient();
  // Writes master into the decoder's weights, rounded to their dtype.
  void store() const;
  // Of the stored tensor: master as it lies there, the axis, and the units along it.
  at::Tensor stored_value() const;
  at::Tensor stored_units() const;
};
using ParameterPtr = std::shared_ptr<Parameter>;

}  // namespace taskneuron
