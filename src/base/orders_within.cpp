#include "base/orders_within.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

namespace taskneuron {

OrdersWithin::OrdersWithin(const std::vector<std::string>& types) : things_(types.size()) {
  std::map<std::string, std::vector<std::size_t>> places;
  for (std::size_t i = 0; i < types.size(); ++i) places[types[i]].push_back(i);
  for (const auto& group : places) groups_.push_back(group.second);
}

OrdersWithin::Order OrdersWithin::as_it_is() const {
  Order order(things_);
  std::iota(order.begin(), order.end(), std::size_t{0});
  return order;
}

double OrdersWithin::count() const {
  double orders = 1;
  for (const auto& group : groups_) orders *= std::tgamma(static_cast<double>(group.size()) + 1);
  return orders;
}

void OrdersWithin::for_each(const std::function<void(const Order&)>& take) const {
  Order order = as_it_is();
  from(0, order, take);
}

void OrdersWithin::from(std::size_t group, Order& order,
                        const std::function<void(const Order&)>& take) const {
  if (group == groups_.size()) return take(order);
  const std::vector<std::size_t>& places = groups_[group];
  std::vector<std::size_t> things = places;
  do {
    for (std::size_t i = 0; i < things.size(); ++i) order[places[i]] = things[i];
    from(group + 1, order, take);
  } while (std::next_permutation(things.begin(), things.end()));
}

void OrdersWithin::shuffle(Order& order, Random& random) const {
  for (const auto& places : groups_) {
    std::vector<std::size_t> there;
    for (const std::size_t place : places) there.push_back(order[place]);
    random.shuffle(there);
    for (std::size_t i = 0; i < places.size(); ++i) order[places[i]] = there[i];
  }
}

}  // namespace taskneuron
