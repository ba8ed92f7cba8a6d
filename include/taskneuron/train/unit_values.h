#pragma once

#include <map>
#include <string>

#include "taskneuron/checkpoint/safetensors.h"
#include "taskneuron/model/parameter.h"

namespace taskneuron {

// Numbers that belong to trained weights (anchors, Fisher information), found again by tensor and
// unit: by a resumed run, and by another model of the same base that trains other units.
class UnitValues {
 public:
  bool empty() const { return entries_.empty(); }
  // Whether there are values for each of the parameter's units.
  bool holds(const Parameter& parameter) const;
  // At the parameter's units, shaped as its master. REQUIRES holds(parameter).
  at::Tensor of(const Parameter& parameter) const;
  // Whether there is anything of the parameter's tensor.
  bool knows(const Parameter& parameter) const { return entries_.count(parameter.key()) != 0; }
  // As of(), with 0 at units that have no values. Throws as add_missing() does.
  at::Tensor of_or_zero(const Parameter& parameter) const;

  // Rows of `values`, shaped as the parameter's master and copied: for its units that have none
  // yet, or for all. Throws Error where a tensor was kept whole and is trained by units now (or the
  // other way), or its rows have another length.
  void add_missing(const Parameter& parameter, const at::Tensor& values);
  void put(const Parameter& parameter, const at::Tensor& values);

  // `<prefix><key>.values`, and `<prefix><key>.units` unless the tensor is kept whole.
  NamedTensors tensors(const std::string& prefix) const;
  // From such tensors. Throws Error for what is malformed, naming it.
  static UnitValues read(const std::map<std::string, at::Tensor>& tensors,
                         const std::string& prefix);

 private:
  struct Entry {
    at::Tensor units;  // as Parameter::units; undefined: the whole tensor
    at::Tensor values;
  };
  static bool fits(const Entry& entry, const Parameter& parameter);
  static void require_fit(const Entry& entry, const Parameter& parameter);
  enum class Where { kMissing, kAll };
  void join(const Parameter& parameter, const at::Tensor& values, Where where);

  std::map<std::string, Entry> entries_;  // by Parameter::key()
};

}  // namespace taskneuron
