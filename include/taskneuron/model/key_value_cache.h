#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace taskneuron {

// Keys and values of earlier tokens, per sequence and layer, so that later tokens need not run them
// again. Holds no gradients.
class KeyValueCache {
 public:
  KeyValueCache(std::int64_t sequences, std::int64_t layers);

  // keys, values: [tokens, kv_heads, head_dim], appended in order.
  void append(std::int64_t sequence, std::int64_t layer, const at::Tensor& keys,
              const at::Tensor& values);
  // Gives `to`, which must be empty, what `from` holds.
  void copy(std::int64_t from, std::int64_t to);
  // Views [tokens so far, kv_heads, head_dim]. Undefined before the first append.
  at::Tensor keys(std::int64_t sequence, std::int64_t layer) const;
  at::Tensor values(std::int64_t sequence, std::int64_t layer) const;

 private:
  struct Entry {
    at::Tensor keys;  // [capacity, kv_heads, head_dim]
    at::Tensor values;
    std::int64_t tokens = 0;
  };
  const Entry& entry(std::int64_t sequence, std::int64_t layer) const;

  std::int64_t layers_;
  std::vector<Entry> entries_;  // [sequence * layers + layer]
};

}  // namespace taskneuron
