#include "model/routing.h"

#include <ATen/ATen.h>

#include "base/torch_compat.h"
#include "model/operations.h"

namespace taskneuron {

Routing route(const at::Tensor& x, const Linear& router, const MixtureConfig& mixture) {
  const at::Tensor scores = linear(x, router);
  const at::Tensor probabilities = at::softmax(scores, -1, wide_type(scores));
  auto [weight, expert] = at::topk(probabilities, mixture.per_token, -1);
  if (mixture.normalized) weight = weight / weight.sum(-1, /*keepdim=*/true);
  return {expert, weight};
}

std::vector<std::vector<std::int64_t>> places_of_experts(const at::Tensor& expert,
                                                         std::int64_t experts) {
  std::vector<std::vector<std::int64_t>> places(static_cast<std::size_t>(experts));
  const at::Tensor chosen = expert.cpu().contiguous();
  const auto* of_place = chosen.data_ptr<std::int64_t>();
  for (std::int64_t place = 0; place < chosen.numel(); ++place) {
    places[static_cast<std::size_t>(of_place[place])].push_back(place);
  }
  return places;
}

}  // namespace taskneuron
