#include "recipe/references.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/fingerprint.h"
#include "base/world.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/evaluate/evaluation.h"

namespace taskneuron {

namespace {

constexpr std::int64_t kReferenceRows = 256;  // prompts whose activations stand for a task's

// An expert's units have no ω at a position that goes to others, so there is no position that all
// units could be sampled at together.
void require_samples(const ModelConfig& config, const ReferenceRuns::Request& request) {
  const bool of_experts = std::any_of(request.sites.begin(), request.sites.end(),
                                      [](Site site) { return site != Site::kOut; });
  const bool samples =
      std::any_of(request.modes.begin(), request.modes.end(),
                  [](const Mode& mode) { return mode.change == Mode::Change::kResample; });
  if (config.mixture.experts == 1 || !of_experts || !samples) return;
  throw UsageError(
      "`mode` resample takes all units' activations from one position, and each position of a "
      "mixture of experts runs some experts alone; use mean");
}

}  // namespace

ReferenceRuns::ReferenceRuns(const TaskReader& reader, Request request)
    : reader_(reader), request_(std::move(request)) {
  require_samples(reader.session().decoder().config(), request_);
  if (needs(Mode::Texts::kUnrelated)) run_text();
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
  options.limits = reader_.fit(demand).limits;
  return {reader_.session().decoder(), texts, options,
          [&](std::int64_t ran) { bar.advance(ran, ran); }};
}

void ReferenceRuns::run_text() {
  std::vector<std::vector<std::int64_t>> windows;
  for (const AnswerExample& window : request_.text.windows) windows.push_back(window.ids);
  text_.emplace(run(windows, "activations of the text"));
  texts_.push_back({"", "", 0, text_->tokens(), text_->sampled()});
}

References ReferenceRuns::of_task(const Task& task, const std::string& split) {
  References references{nullptr, text_ ? &*text_ : nullptr, request_.seed};
  if (!needs(Mode::Texts::kOwn)) return references;
  const std::string from = std::filesystem::exists(split_path(task, "train")) ? "train" : split;
  const ExampleEncoder& encoder = reader_.encoder();
  std::vector<std::vector<std::int64_t>> prompts;
  for (const TaskRow& row : load_split(task, from, kReferenceRows)) {
    const std::string where = fmt::format("{}:{}", split_path(task, from).string(), row.line);
    bool cut = false;
    prompts.push_back(encoder.encode_prompt(row, encoder.answer_tokens(row), where, &cut));
  }
  if (!world().alone()) {
    Fingerprint all;
    for (const std::vector<std::int64_t>& prompt : prompts) all.add(prompt);
    world().require_same(fmt::format("{} (split {}: its prompts)", task.folder.string(), from),
                         all.hex());
  }
  task_.emplace(run(prompts, fmt::format("activations of {}", task.name)));
  texts_.push_back({task.name, from, static_cast<std::int64_t>(prompts.size()), task_->tokens(),
                    task_->sampled()});
  references.own = &*task_;
  return references;
}

References ReferenceRuns::of_text() {
  if (!text_ && needs(Mode::Texts::kOwn)) run_text();
  const ReferenceActivations* found = text_ ? &*text_ : nullptr;
  return {found, found, request_.seed};
}

void require_text(const Mode& mode, const std::string& text) {
  if (!mode.needs(Mode::Texts::kUnrelated) || !text.empty()) return;
  throw UsageError("`mode` mean-text and resample-text take activations from a text; give `text`");
}

std::set<Site> sites_of(const std::vector<NeuronSet>& sets) {
  std::set<Site> sites;
  for (const NeuronSet& set : sets) {
    for (const auto& site : set.sites) sites.insert(site.first);
  }
  return sites;
}

}  // namespace taskneuron
