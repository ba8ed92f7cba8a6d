#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <vector>

#include "taskneuron/data/batching.h"
#include "taskneuron/model/decoder.h"

namespace taskneuron {

// Where a text lies among others, as a model sees it: the mean over the prompt's tokens of the
// final hidden state after the last norm (method, "Question 3"). prompts: ids, none empty. float32
// [prompts, d]. progress is called with prompts and tokens done since the last call.
at::Tensor prompt_features(const Decoder& decoder,
                           const std::vector<std::vector<std::int64_t>>& prompts,
                           const BatchLimits& limits,
                           const std::function<void(std::int64_t, std::int64_t)>& progress);

// Cosines of the mean features of one task and of each of several others, [rows, d] each.
std::vector<double> mean_cosines(const at::Tensor& features, const std::vector<at::Tensor>& others);
// exp(x / temperature), so scaled that they add up to 1. REQUIRES temperature > 0.
std::vector<double> softmax(const std::vector<double>& values, double temperature);

// For each row of `features` the class whose features hold the nearest one, by cosine; ties: the
// first. [rows, d] and [stored, d] each.
std::vector<std::size_t> nearest_stored(const at::Tensor& features,
                                        const std::vector<at::Tensor>& classes);
// For each row the class whose mean is nearest by Mahalanobis distance under the covariance that
// classes have in common, shrunk towards its mean variance by 1 / (1 + rows / d) (EPI, Wang et al.
// 2023b, whose covariance is singular where rows are few). float64 inside.
std::vector<std::size_t> nearest_gaussian(const at::Tensor& features,
                                          const std::vector<at::Tensor>& classes);

// `count` rows of [rows, d], evenly spaced: what is kept of a task.
at::Tensor stored_features(const at::Tensor& features, std::int64_t count);

}  // namespace taskneuron
