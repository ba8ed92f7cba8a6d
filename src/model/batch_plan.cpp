#include "model/batch_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "base/torch_compat.h"
#include "model/kernels/dispatch.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

at::Tensor int64_tensor(const std::vector<std::int64_t>& values, at::Device device) {
  return at::tensor(values, at::kLong).to(device);
}

void check_ids(const Batch& batch, const ModelConfig& config) {
  const auto check = [&](std::int64_t id) {
    if (id >= 0 && id < config.vocabulary) return;
    throw Error(
        fmt::format("token id {} is outside the model's vocabulary of {}; do tokenizer "
                    "and model belong together?",
                    id, config.vocabulary));
  };
  for (const std::int64_t id : batch.ids) check(id);
  for (const Target& target : batch.targets) check(target.token);
  if (config.position != PositionKind::kLearned) return;
  for (const std::int64_t position : batch.positions) {
    if (position >= config.max_positions) {
      throw Error(fmt::format("a text of more than {} tokens does not fit the model's positions",
                              config.max_positions));
    }
  }
}

// For each row whether its text, in all of its branches and what comes before, has more tokens than
// so many.
at::Tensor in_long_texts(const Batch& batch, std::int64_t tokens) {
  const std::size_t count = batch.segments.size();
  std::vector<std::size_t> root(count);
  std::vector<std::int64_t> length(count, 0);
  for (std::size_t s = 0; s < count; ++s) {
    const Segment& segment = batch.segments[s];
    root[s] = segment.prefix >= 0 ? root[static_cast<std::size_t>(segment.prefix)] : s;
    for (std::int64_t row = segment.begin; row < segment.end; ++row) {
      length[root[s]] =
          std::max(length[root[s]], batch.positions[static_cast<std::size_t>(row)] + 1);
    }
  }
  at::Tensor result = at::zeros({batch.tokens()}, at::kBool);
  for (std::size_t s = 0; s < count; ++s) {
    const Segment& segment = batch.segments[s];
    result.narrow(0, segment.begin, segment.tokens()).fill_(length[root[s]] > tokens);
  }
  return result;
}

Rotation rotation(const BatchPlan& plan, const RotaryConfig& rotary,
                  const DecoderOptions& options) {
  if (rotary.frequency.empty()) return {};
  const auto row_of = [&](const std::vector<double>& frequencies) {
    return at::tensor(frequencies, at::kFloat).to(options.device).unsqueeze(0);
  };
  at::Tensor frequency = row_of(rotary.frequency);
  if (!rotary.long_frequency.empty()) {
    const at::Tensor long_rows = in_long_texts(*plan.batch, rotary.short_positions);
    frequency = at::where(long_rows.to(options.device).unsqueeze(1), row_of(rotary.long_frequency),
                          frequency);
  }
  const at::Tensor angle = plan.positions.to(at::kFloat).unsqueeze(1) * frequency;
  const auto stored = [&](const at::Tensor& values) {
    return (rotary.scale == 1 ? values : values * rotary.scale).to(options.dtype).unsqueeze(1);
  };
  return {stored(angle.cos()), stored(angle.sin()), rotary.pairs};
}

// Where `value` stands among `known`, at whose end it is put if it is new.
template <typename T>
std::size_t index_among(std::vector<T>& known, const T& value) {
  const auto found = std::find(known.begin(), known.end(), value);
  if (found != known.end()) return static_cast<std::size_t>(found - known.begin());
  known.push_back(value);
  return known.size() - 1;
}

void plan_layers(BatchPlan& plan, const ModelConfig& config, const DecoderOptions& options) {
  std::vector<RotaryConfig> rotaries;
  for (const LayerConfig& layer : config.each_layer) {
    plan.layers.push_back(
        {index_among(rotaries, layer.rotary), index_among(plan.windows, layer.sliding_window)});
  }
  for (const RotaryConfig& one : rotaries) plan.rotations.push_back(rotation(plan, one, options));
}

// Slopes of ALiBi (Press et al. 2022): powers of 2^(-8/n), n the power of two at or below heads,
// then those between.
std::vector<double> alibi_slopes(std::int64_t heads) {
  std::int64_t closest = 1;
  while (closest * 2 <= heads) closest *= 2;
  std::vector<double> slopes;
  const double base = std::pow(2.0, -8.0 / static_cast<double>(closest));
  for (std::int64_t i = 1; i <= closest; ++i) slopes.push_back(std::pow(base, i));
  const double between = std::pow(2.0, -4.0 / static_cast<double>(closest));
  for (std::int64_t i = 0; i < heads - closest; ++i) slopes.push_back(std::pow(between, 2 * i + 1));
  return slopes;
}

// Branch of each row of a segment; -1 is the trunk.
std::vector<int> branch_of_rows(const Segment& segment) {
  std::vector<int> branch(static_cast<std::size_t>(segment.tokens()), -1);
  for (std::size_t b = 0; b < segment.branches.size(); ++b) {
    for (auto i = static_cast<std::size_t>(segment.branches[b]); i < branch.size(); ++i) {
      branch[i] = static_cast<int>(b);
    }
  }
  return branch;
}

// How many keys a query sees, itself included; none: all.
using Window = std::optional<std::int64_t>;

// 0 where a query sees a key, -infinity elsewhere: [tokens, past + tokens].
at::Tensor visibility(const Batch& batch, const Segment& segment, std::int64_t past,
                      const Window& window) {
  constexpr float kHidden = -std::numeric_limits<float>::infinity();
  const std::int64_t tokens = segment.tokens();
  const std::vector<int> branch = branch_of_rows(segment);
  at::Tensor mask = at::full({tokens, past + tokens}, kHidden, at::kFloat);
  float* cell = mask.data_ptr<float>();
  for (std::int64_t query = 0; query < tokens; ++query) {
    const std::int64_t position = batch.positions[static_cast<std::size_t>(segment.begin + query)];
    const std::int64_t oldest = window ? position - *window + 1 : 0;
    for (std::int64_t key = 0; key < past + tokens; ++key, ++cell) {
      const std::int64_t own = key - past;
      if (own > query) continue;
      const bool cached = own < 0;
      const std::int64_t key_position =
          cached ? key : batch.positions[static_cast<std::size_t>(segment.begin + own)];
      const bool same_branch =
          cached || branch[static_cast<std::size_t>(own)] == -1 ||
          branch[static_cast<std::size_t>(own)] == branch[static_cast<std::size_t>(query)];
      if (same_branch && key_position >= oldest) *cell = 0;
    }
  }
  return mask;
}

at::Tensor key_positions(const Batch& batch, const Segment& segment, std::int64_t past) {
  std::vector<double> positions;
  for (std::int64_t key = 0; key < past; ++key) positions.push_back(static_cast<double>(key));
  for (std::int64_t row = segment.begin; row < segment.end; ++row) {
    positions.push_back(static_cast<double>(batch.positions[static_cast<std::size_t>(row)]));
  }
  return at::tensor(positions, at::kFloat);
}

at::Tensor score_bias(const BatchPlan& plan, const Segment& segment, std::int64_t past,
                      const Window& window, const DecoderOptions& options) {
  const Batch& batch = *plan.batch;
  const ModelConfig& config = *plan.config;
  // The loops keep queries from later keys by themselves.
  const bool causal = kernels::covers(options.device, options.dtype);
  const bool nothing_later = segment.tokens() == 1 || (causal && segment.branches.empty());
  const bool alibi = config.position == PositionKind::kAlibi;
  // Positions are fewer than keys, so a window as wide as all keys hides none.
  const bool hides = window && past + segment.tokens() > *window;
  if (nothing_later && !hides && !alibi) return {};
  at::Tensor bias = visibility(batch, segment, past, window);
  if (alibi) {
    const at::Tensor slopes = at::tensor(alibi_slopes(config.heads), at::kFloat);
    bias = bias.unsqueeze(0) +
           slopes.view({-1, 1, 1}) * key_positions(batch, segment, past).view({1, 1, -1});
  }
  return bias.to(options.device);
}

// The masks of segments that start a text without branches, by length: equal ones share them.
using SharedMasks = std::map<std::int64_t, std::vector<at::Tensor>>;

std::vector<at::Tensor> score_biases(const BatchPlan& plan, const Segment& segment,
                                     std::int64_t past, SharedMasks& shared,
                                     const DecoderOptions& options) {
  const bool plain = past == 0 && segment.branches.empty();
  const auto found = shared.find(segment.tokens());
  if (plain && found != shared.end()) return found->second;
  std::vector<at::Tensor> biases;
  for (const Window& window : plan.windows) {
    biases.push_back(score_bias(plan, segment, past, window, options));
  }
  if (plain) shared.emplace(segment.tokens(), biases);
  return biases;
}

void plan_segments(BatchPlan& plan, const DecoderOptions& options) {
  const Batch& batch = *plan.batch;
  std::vector<std::int64_t> logit_rows;
  SharedMasks shared;
  std::int64_t row = 0;
  for (const Segment& segment : batch.segments) {
    TN_CHECK(segment.begin == row && segment.end > segment.begin);
    TN_CHECK(segment.logit_rows >= 0 && segment.logit_rows <= segment.tokens());
    row = segment.end;
    SegmentPlan& target = plan.segments.emplace_back();
    target.past = batch.positions[static_cast<std::size_t>(segment.begin)];
    if (segment.prefix >= 0) {
      target.keys = plan.segments[static_cast<std::size_t>(segment.prefix)].keys;
    }
    target.keys.push_back({segment.begin, segment.end});
    target.logit_begin = static_cast<std::int64_t>(logit_rows.size());
    for (std::int64_t r = segment.end - segment.logit_rows; r < segment.end; ++r) {
      logit_rows.push_back(r);
    }
    target.score_bias = score_biases(plan, segment, target.past, shared, options);
    plan.all_spans.push_back({segment.begin, segment.end, segment.example});
    plan.logit_spans.push_back(
        {target.logit_begin, static_cast<std::int64_t>(logit_rows.size()), segment.example});
  }
  TN_CHECK(row == batch.tokens());
  plan.every_row_has_logits = static_cast<std::int64_t>(logit_rows.size()) == batch.tokens();
  plan.logit_rows = int64_tensor(logit_rows, options.device);
}

}  // namespace

BatchPlanPtr make_plan(const Batch& batch, std::shared_ptr<const ModelConfig> config,
                       const DecoderOptions& options) {
  check_ids(batch, *config);
  auto plan = std::make_shared<BatchPlan>();
  plan->batch = std::make_shared<const Batch>(batch);
  plan->config = std::move(config);
  plan->ids = int64_tensor(batch.ids, options.device);
  plan->positions = int64_tensor(batch.positions, options.device);
  plan_layers(*plan, *plan->config, options);
  plan_segments(*plan, options);
  return plan;
}

}  // namespace taskneuron
