#include "cli/references.h"

#include <fmt/format.h>

#include <algorithm>

#include "taskneuron/base/error.h"
#include "taskneuron/evaluate/evaluation.h"

namespace taskneuron::cli {

namespace {

constexpr std::int64_t kReferenceRows = 256;  // prompts whose activations stand for a task's

OutputJson described(const ReferenceActivations& found) {
  return {{"tokens", found.tokens()}, {"positions", found.sampled()}};
}

}  // namespace

ReferenceRuns::ReferenceRuns(const DataOptions& data, const LoadedModel& model,
                             const ExampleEncoder& encoder, Request request)
    : data_(data), model_(model), encoder_(encoder), request_(std::move(request)) {
  if (needs(Mode::Texts::kUnrelated)) {
    if (request_.text.empty()) {
      throw UsageError("--mode mean-text and resample-text take activations from --text FILE");
    }
    run_text();
  }
}

bool ReferenceRuns::needs(Mode::Texts texts) const {
  return std::any_of(request_.modes.begin(), request_.modes.end(),
                     [&](const Mode& mode) { return mode.needs(texts); });
}

ReferenceActivations ReferenceRuns::run(const std::vector<std::vector<std::int64_t>>& texts,
                                        const std::string& title) const {
  BatchDemand demand;
  for (const auto& text : texts) demand.lengths.push_back(static_cast<std::int64_t>(text.size()));
  demand.logit_rows = 1;
  std::int64_t tokens = 0;
  for (const std::int64_t length : demand.lengths) tokens += length;
  Progress bar(title, tokens);
  ReferenceOptions options;
  options.sites = request_.sites;
  options.seed = request_.seed;
  options.limits = data_.fit(model_.checkpoint(), model_.decoder(), demand).limits;
  return {model_.decoder(), texts, options, [&](std::int64_t ran) { bar.advance(ran, ran); }};
}

void ReferenceRuns::run_text() {
  std::vector<std::vector<std::int64_t>> windows;
  const auto window = static_cast<std::size_t>(model_.encoder_options(data_).max_tokens);
  for (std::size_t begin = 0; begin < request_.text.size(); begin += window) {
    const std::size_t end = std::min(request_.text.size(), begin + window);
    windows.emplace_back(request_.text.begin() + static_cast<std::ptrdiff_t>(begin),
                         request_.text.begin() + static_cast<std::ptrdiff_t>(end));
  }
  text_.emplace(run(windows, "activations of the text"));
  OutputJson entry = {{"text", true}};
  entry.update(described(*text_));
  json_.push_back(entry);
}

References ReferenceRuns::of_task(const Task& task, const std::string& split) {
  References references{nullptr, text_ ? &*text_ : nullptr, request_.seed};
  if (!needs(Mode::Texts::kOwn)) return references;
  const std::string from = std::filesystem::exists(split_path(task, "train")) ? "train" : split;
  std::vector<std::vector<std::int64_t>> prompts;
  for (const TaskRow& row : load_split(task, from, kReferenceRows)) {
    const std::string where = fmt::format("{}:{}", split_path(task, from).string(), row.line);
    bool cut = false;
    prompts.push_back(encoder_.encode_prompt(row, encoder_.answer_tokens(row), where, &cut));
  }
  task_.emplace(run(prompts, fmt::format("activations of {}", task.name)));
  OutputJson entry = {{"task", task.name}, {"split", from}, {"rows", prompts.size()}};
  entry.update(described(*task_));
  json_.push_back(entry);
  references.own = &*task_;
  return references;
}

References ReferenceRuns::of_text() {
  if (!text_ && needs(Mode::Texts::kOwn)) run_text();
  const ReferenceActivations* found = text_ ? &*text_ : nullptr;
  return {found, found, request_.seed};
}

}  // namespace taskneuron::cli
