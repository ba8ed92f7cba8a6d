#include "taskneuron/model/key_value_cache.h"

#include <algorithm>

#include "base/check.h"
#include "base/torch_compat.h"

namespace taskneuron {

KeyValueCache::KeyValueCache(std::int64_t sequences, std::int64_t layers)
    : layers_(layers), entries_(static_cast<std::size_t>(sequences * layers)) {}

const KeyValueCache::Entry& KeyValueCache::entry(std::int64_t sequence, std::int64_t layer) const {
  return entries_.at(static_cast<std::size_t>(sequence * layers_ + layer));
}

void KeyValueCache::append(std::int64_t sequence, std::int64_t layer, const at::Tensor& keys,
                           const at::Tensor& values) {
  Entry& entry = entries_.at(static_cast<std::size_t>(sequence * layers_ + layer));
  const std::int64_t needed = entry.tokens + keys.size(0);
  if (!entry.keys.defined() || entry.keys.size(0) < needed) {
    // Doubling keeps the copies of a growing sequence linear in its length.
    const std::int64_t capacity = entry.tokens == 0 ? needed : std::max(needed, 2 * entry.tokens);
    const auto grow = [&](at::Tensor& buffer, const at::Tensor& like) {
      at::Tensor larger = at::empty({capacity, like.size(1), like.size(2)}, like.options());
      if (entry.tokens > 0)
        larger.narrow(0, 0, entry.tokens).copy_(buffer.narrow(0, 0, entry.tokens));
      buffer = larger;
    };
    grow(entry.keys, keys);
    grow(entry.values, values);
  }
  entry.keys.narrow(0, entry.tokens, keys.size(0)).copy_(keys);
  entry.values.narrow(0, entry.tokens, values.size(0)).copy_(values);
  entry.tokens = needed;
}

void KeyValueCache::copy(std::int64_t from, std::int64_t to) {
  for (std::int64_t l = 0; l < layers_; ++l) {
    TN_CHECK_EQ(entry(to, l).tokens, 0);
    append(to, l, keys(from, l), values(from, l));
  }
}

at::Tensor KeyValueCache::keys(std::int64_t sequence, std::int64_t layer) const {
  const Entry& found = entry(sequence, layer);
  return found.keys.defined() ? found.keys.narrow(0, 0, found.tokens) : at::Tensor();
}

at::Tensor KeyValueCache::values(std::int64_t sequence, std::int64_t layer) const {
  const Entry& found = entry(sequence, layer);
  return found.values.defined() ? found.values.narrow(0, 0, found.tokens) : at::Tensor();
}

}  // namespace taskneuron
