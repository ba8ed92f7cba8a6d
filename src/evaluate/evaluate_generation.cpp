// Generated text against references; the rest of TaskEvaluation is in evaluation.cpp.
#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <numeric>

#include "base/workers.h"
#include "base/world.h"
#include "evaluate/evaluation_pass.h"
#include "taskneuron/base/error.h"
#include "taskneuron/evaluate/evaluation.h"
#include "taskneuron/model/generation.h"

namespace taskneuron {

namespace {

constexpr std::int64_t kDefaultNewTokens = 128;  // for a task without a train split

// Tokens of the longest answer of the train split, end-of-sequence included.
std::int64_t longest_train_answer(const Task& task, const ExampleEncoder& encoder) {
  if (!std::filesystem::exists(split_path(task, "train"))) return kDefaultNewTokens;
  std::int64_t longest = 0;
  for (const TaskRow& row : load_split(task, "train")) {
    longest = std::max(longest, encoder.answer_tokens(row));
  }
  return longest;
}

std::string trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// The generated text up to where the rule ends it. Line breaks before the answer do not count.
std::string cut_at_stop(const std::string& text, StopRule rule, bool* stopped) {
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  const std::size_t end = start == std::string::npos
                              ? std::string::npos
                              : text.find(rule == StopRule::kNewline ? "\n" : "\n\n", start);
  if (stopped != nullptr) *stopped = end != std::string::npos;
  return trimmed(text.substr(0, end));
}

}  // namespace

void TaskEvaluation::encode_prompts(const Task& task) {
  const std::int64_t context = encoder_.options().max_tokens;
  if (max_new_tokens_ == 0) {
    max_new_tokens_ = std::min(longest_train_answer(task, encoder_), context / 2);
  }
  if (max_new_tokens_ >= context) {
    throw Error(fmt::format("`max_new_tokens` {} leaves no room for a prompt in the context of {}",
                            max_new_tokens_, context));
  }
  for (const TaskRow& row : rows_) {
    const std::string where = fmt::format("{}:{}", split_path(task, split_).string(), row.line);
    bool cut = false;
    prompts_.push_back(encoder_.encode_prompt(row, max_new_tokens_, where, &cut));
    if (cut && !answers_[prompts_.size() - 1].truncated) ++truncated_;
  }
}

// Rows are dealt by length, for a group of long ones takes longer than one of short ones.
std::vector<TaskEvaluation::Members> TaskEvaluation::own_groups(const BatchLimits& limits) const {
  const std::vector<std::int64_t> all = lengths();
  Members rows(all.size());
  std::iota(rows.begin(), rows.end(), 0);
  std::stable_sort(rows.begin(), rows.end(), [&](std::int64_t a, std::int64_t b) {
    return all[static_cast<std::size_t>(a)] > all[static_cast<std::size_t>(b)];
  });
  rows = world().own_share(std::move(rows));
  std::sort(rows.begin(), rows.end());
  std::vector<std::int64_t> own;
  for (const std::int64_t row : rows) own.push_back(all[static_cast<std::size_t>(row)]);
  std::vector<Members> groups = group_by_length(own, limits);
  for (Members& group : groups) {
    for (std::int64_t& member : group) member = rows[static_cast<std::size_t>(member)];
  }
  return groups;
}

void TaskEvaluation::generate_members(const Pass& pass) const {
  BatchLimits texts = pass.limits;
  if (texts.side_by_side > 0) texts.max_examples = texts.side_by_side;
  if (!world().alone() && texts.max_examples > 0) {
    const std::int64_t each = (examples() + world().size() - 1) / world().size();
    texts.max_examples = std::min(texts.max_examples, each);
  }
  const std::vector<Members> groups = own_groups(texts);
  // A group's passes report as they go, so that a long text can be cut short.
  std::mutex reporting;
  const EvaluationProgress report = [&](std::int64_t examples, std::int64_t tokens) {
    const std::lock_guard<std::mutex> lock(reporting);
    pass.progress(examples, tokens);
  };
  const Pass reported{pass.decoder, pass.hook, pass.limits, report, pass.predictions};
  run_side_by_side(
      static_cast<std::int64_t>(groups.size()), pass.limits.workers,
      [&](std::int64_t g) { run_generation(reported, groups[static_cast<std::size_t>(g)]); },
      [&](std::int64_t g) {
        const Members& members = groups[static_cast<std::size_t>(g)];
        report(static_cast<std::int64_t>(members.size()) * world().size(), 0);
      });
}

void TaskEvaluation::run_generation(const Pass& pass, const Members& members) const {
  const Tokenizer& tokenizer = encoder_.tokenizer();
  std::vector<std::vector<std::int64_t>> prompts;
  for (const std::int64_t member : members) {
    prompts.push_back(prompts_[static_cast<std::size_t>(member)]);
  }
  GenerationOptions options;
  options.max_new_tokens = max_new_tokens_;
  options.prompt_tokens = pass.limits.side_by_side > 0 ? pass.limits.max_tokens : 0;
  options.end_of_sequence = encoder_.options().end_of_sequence;
  options.stop = [&](const std::vector<std::int64_t>& ids) {
    bool stopped = false;
    cut_at_stop(tokenizer.decode(ids), stop_, &stopped);
    return stopped;
  };
  options.progress = [&](std::int64_t tokens) { pass.progress(0, tokens); };
  const auto outputs = generate(pass.decoder, pass.hook, prompts, options);
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto row = static_cast<std::size_t>(members[i]);
    Prediction& prediction = pass.predictions[row];
    prediction.prediction = cut_at_stop(tokenizer.decode(outputs[i]), stop_, nullptr);
    prediction.score = metric_.score(prediction.prediction, rows_[row].references);
  }
}

}  // namespace taskneuron
