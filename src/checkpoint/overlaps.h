#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "taskneuron/base/error.h"

namespace taskneuron {

// Throws Error naming two tensors whose bytes [begin, end) overlap; empty ones lie nowhere.
template <typename Tensor>
void refuse_overlaps(const std::map<std::string, Tensor>& tensors, const std::string& where) {
  std::vector<const std::pair<const std::string, Tensor>*> order;
  for (const auto& item : tensors) {
    if (item.second.begin != item.second.end) order.push_back(&item);
  }
  std::sort(order.begin(), order.end(),
            [](const auto* a, const auto* b) { return a->second.begin < b->second.begin; });
  for (std::size_t i = 1; i < order.size(); ++i) {
    if (order[i]->second.begin < order[i - 1]->second.end) {
      throw Error(fmt::format("{}: tensors '{}' and '{}' overlap", where, order[i - 1]->first,
                              order[i]->first));
    }
  }
}

}  // namespace taskneuron
