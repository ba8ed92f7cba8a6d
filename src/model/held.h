#pragma once

#include <ATen/core/ivalue.h>

#include <memory>
#include <utility>

namespace taskneuron {

// What a backward function needs beside tensors, as autograd keeps it: the graph shares ownership,
// so it stays whatever becomes of the model in between.
template <typename T>
struct Holder : torch::CustomClassHolder {
  explicit Holder(std::shared_ptr<const T> held) : value(std::move(held)) {}
  std::shared_ptr<const T> value;
};

template <typename T>
c10::IValue hold(std::shared_ptr<const T> value) {
  return c10::IValue::make_capsule(c10::make_intrusive<Holder<T>>(std::move(value)));
}

// REQUIRES a value that hold<T>() made.
template <typename T>
std::shared_ptr<const T> held(const c10::IValue& value) {
  return c10::static_intrusive_pointer_cast<Holder<T>>(value.toCapsule())->value;
}

}  // namespace taskneuron
