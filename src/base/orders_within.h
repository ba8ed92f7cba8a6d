#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "taskneuron/base/random.h"

namespace taskneuron {

// Orders of n things that keep those of each type among the places of that type.
class OrdersWithin {
 public:
  // types: a name for every thing.
  explicit OrdersWithin(const std::vector<std::string>& types);

  using Order = std::vector<std::size_t>;  // order[i]: what stands in place i
  Order as_it_is() const;
  // How many there are; as a double, for factorials are large.
  double count() const;
  void for_each(const std::function<void(const Order&)>& take) const;
  void shuffle(Order& order, Random& random) const;

 private:
  void from(std::size_t group, Order& order, const std::function<void(const Order&)>& take) const;

  std::size_t things_;
  std::vector<std::vector<std::size_t>> groups_;  // places by type
};

}  // namespace taskneuron
