#include "model/single_query_attention.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/torch_compat.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

// Sixteen partial sums, so that the compiler may use vectors without reordering a single sum.
constexpr std::int64_t kLanes = 16;

template <typename T>
float dot(const T* a, const T* b, std::int64_t count) {
  float sums[kLanes] = {};
  std::int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::int64_t lane = 0; lane < kLanes; ++lane) {
      sums[lane] += static_cast<float>(a[i + lane]) * static_cast<float>(b[i + lane]);
    }
  }
  float total = 0;
  for (const float sum : sums) total += sum;
  for (; i < count; ++i) total += static_cast<float>(a[i]) * static_cast<float>(b[i]);
  return total;
}

// scores := softmax(scores)
void softmax(std::vector<float>& scores) {
  const float highest = *std::max_element(scores.begin(), scores.end());
  float sum = 0;
  for (float& score : scores) sum += score = std::exp(score - highest);
  for (float& score : scores) score /= sum;
}

template <typename T>
void attend(const SingleQuery& input) {
  const std::int64_t heads = input.query.size(0), width = input.query.size(1);
  const std::int64_t keys = input.keys.size(0), group = heads / input.keys.size(1);
  const bool bias_by_head = input.bias.defined() && input.bias.dim() == 3;
  const float* bias = input.bias.defined() ? input.bias.data_ptr<float>() : nullptr;
  const auto softcap = static_cast<float>(input.softcap);
  std::vector<float> scores(static_cast<std::size_t>(keys));
  std::vector<float> sum(static_cast<std::size_t>(width));
  for (std::int64_t head = 0; head < heads; ++head) {
    const T* query = input.query.data_ptr<T>() + head * width;
    const T* key = input.keys.data_ptr<T>() + head / group * input.keys.stride(1);
    const T* value = input.values.data_ptr<T>() + head / group * input.values.stride(1);
    for (std::int64_t k = 0; k < keys; ++k) {
      float& score = scores[static_cast<std::size_t>(k)];
      score = dot(query, key + k * input.keys.stride(0), width) * static_cast<float>(input.scale);
      if (softcap > 0) score = softcap * std::tanh(score / softcap);
      if (bias != nullptr) score += bias[(bias_by_head ? head * keys : 0) + k];
    }
    softmax(scores);
    std::fill(sum.begin(), sum.end(), 0.0f);
    for (std::int64_t k = 0; k < keys; ++k) {
      const float chance = scores[static_cast<std::size_t>(k)];
      const T* row = value + k * input.values.stride(0);
      for (std::int64_t i = 0; i < width; ++i) {
        sum[static_cast<std::size_t>(i)] += chance * static_cast<float>(row[i]);
      }
    }
    T* output = input.output.data_ptr<T>() + head * width;
    for (std::int64_t i = 0; i < width; ++i) {
      output[i] = static_cast<T>(sum[static_cast<std::size_t>(i)]);
    }
  }
}

}  // namespace

void attend_single_query(const SingleQuery& input) {
  TN_CHECK(input.query.is_contiguous() && input.output.is_contiguous());
  switch (input.query.scalar_type()) {
    case at::kFloat: return attend<float>(input);
    case at::kBFloat16: return attend<at::BFloat16>(input);
    default: TN_CHECK(false);
  }
}

}  // namespace taskneuron
