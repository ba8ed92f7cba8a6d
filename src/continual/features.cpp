#include "taskneuron/continual/features.h"

#include <algorithm>
#include <cmath>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

at::Tensor unit_rows(const at::Tensor& features) {
  const at::Tensor wide = features.to(at::kDouble);
  return wide / wide.norm(2, {1}, /*keepdim=*/true).clamp_min(1e-12);
}

// Prompts side by side, each a segment whose every row is wanted.
Batch prompt_batch(const std::vector<std::vector<std::int64_t>>& prompts,
                   const std::vector<std::int64_t>& members) {
  Batch batch;
  for (const std::int64_t member : members) {
    const std::vector<std::int64_t>& ids = prompts[static_cast<std::size_t>(member)];
    Segment segment;
    segment.begin = batch.tokens();
    segment.end = segment.begin + static_cast<std::int64_t>(ids.size());
    segment.logit_rows = segment.tokens();
    segment.example = static_cast<int>(batch.examples++);
    for (std::size_t i = 0; i < ids.size(); ++i) {
      batch.ids.push_back(ids[i]);
      batch.positions.push_back(static_cast<std::int64_t>(i));
    }
    batch.segments.push_back(segment);
  }
  batch.sequences = batch.examples;
  return batch;
}

std::vector<std::size_t> argmin_rows(const at::Tensor& distances) {
  const at::Tensor nearest = distances.argmin(1).contiguous();
  const auto* data = nearest.data_ptr<std::int64_t>();
  return {data, data + nearest.numel()};
}

}  // namespace

at::Tensor prompt_features(const Decoder& decoder,
                           const std::vector<std::vector<std::int64_t>>& prompts,
                           const BatchLimits& limits,
                           const std::function<void(std::int64_t, std::int64_t)>& progress) {
  TN_CHECK(!prompts.empty());
  const at::NoGradGuard no_gradient;
  std::vector<std::int64_t> lengths;
  for (const auto& ids : prompts) {
    TN_CHECK(!ids.empty());
    lengths.push_back(static_cast<std::int64_t>(ids.size()));
  }
  NeuronHook none;
  at::Tensor found;
  for (const std::vector<std::int64_t>& members : group_by_length(lengths, limits)) {
    const Batch batch = prompt_batch(prompts, members);
    const at::Tensor hidden = decoder.features(batch, none).to(at::kFloat);
    if (!found.defined()) {
      found = at::empty({static_cast<std::int64_t>(prompts.size()), hidden.size(1)}, at::kFloat);
    }
    for (std::size_t i = 0; i < members.size(); ++i) {
      const Segment& segment = batch.segments[i];
      found[members[i]] = hidden.slice(0, segment.begin, segment.end).mean(0).cpu();
    }
    progress(static_cast<std::int64_t>(members.size()), batch.tokens());
  }
  if (!at::isfinite(found).all().item<bool>()) {
    throw NonFiniteError("the model's features of a prompt are not finite");
  }
  return found;
}

std::vector<double> mean_cosines(const at::Tensor& features,
                                 const std::vector<at::Tensor>& others) {
  const at::Tensor own = unit_rows(features.to(at::kDouble).mean(0, /*keepdim=*/true));
  std::vector<double> cosines;
  for (const at::Tensor& other : others) {
    const at::Tensor mean = unit_rows(other.to(at::kDouble).mean(0, /*keepdim=*/true));
    cosines.push_back((own * mean).sum().item<double>());
  }
  return cosines;
}

std::vector<double> softmax(const std::vector<double>& values, double temperature) {
  TN_CHECK(temperature > 0);
  if (values.empty()) return {};
  const double largest = *std::max_element(values.begin(), values.end());
  std::vector<double> shares;
  double sum = 0;
  for (const double value : values) {
    shares.push_back(std::exp((value - largest) / temperature));
    sum += shares.back();
  }
  for (double& share : shares) share /= sum;
  return shares;
}

std::vector<std::size_t> nearest_stored(const at::Tensor& features,
                                        const std::vector<at::Tensor>& classes) {
  TN_CHECK(!classes.empty());
  const at::Tensor own = unit_rows(features);
  std::vector<at::Tensor> distances;
  for (const at::Tensor& stored : classes) {
    distances.push_back(1 - std::get<0>(own.matmul(unit_rows(stored).t()).max(1)));
  }
  return argmin_rows(at::stack(distances, 1));
}

std::vector<std::size_t> nearest_gaussian(const at::Tensor& features,
                                          const std::vector<at::Tensor>& classes) {
  TN_CHECK(!classes.empty());
  const std::int64_t width = features.size(1);
  at::Tensor scatter = at::zeros({width, width}, at::kDouble);
  std::int64_t rows = 0;
  std::vector<at::Tensor> means;
  for (const at::Tensor& one : classes) {
    const at::Tensor wide = one.to(at::kDouble);
    means.push_back(wide.mean(0));
    const at::Tensor centred = wide - means.back();
    scatter += centred.t().matmul(centred);
    rows += one.size(0);
  }
  const at::Tensor covariance = scatter / static_cast<double>(rows);
  const double shrink = 1 / (1 + static_cast<double>(rows) / static_cast<double>(width));
  // A floor keeps it invertible where all features are one.
  const double variance = std::max(covariance.diagonal().mean().item<double>(), 1e-12);
  const at::Tensor shrunk =
      (1 - shrink) * covariance + shrink * variance * at::eye(width, at::kDouble);
  const at::Tensor factor = at::linalg_cholesky(shrunk);
  std::vector<at::Tensor> distances;
  for (const at::Tensor& mean : means) {
    const at::Tensor centred = (features.to(at::kDouble) - mean).t();
    distances.push_back(
        at::linalg_solve_triangular(factor, centred, /*upper=*/false).square().sum(0));
  }
  return argmin_rows(at::stack(distances, 1));
}

at::Tensor stored_features(const at::Tensor& features, std::int64_t count) {
  const std::int64_t rows = features.size(0);
  if (count >= rows) return features;
  const at::Tensor places = at::arange(count, at::kLong) * rows / count;
  return features.index_select(0, places.to(at::kLong));
}

}  // namespace taskneuron
