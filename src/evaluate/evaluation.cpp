#include "taskneuron/evaluate/evaluation.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/fingerprint.h"
#include "base/torch_compat.h"
#include "base/workers.h"
#include "base/world.h"
#include "evaluate/evaluation_pass.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {

namespace {

// Σ nll per sequence of a batch, float64.
std::vector<double> sequence_nll(const Decoder& decoder, const Batch& batch, NeuronHook& hook) {
  const at::NoGradGuard no_gradients;
  const at::Tensor nll =
      decoder.target_nll(decoder.features(batch, hook), batch).to(at::kDouble).cpu().contiguous();
  const double* values = nll.data_ptr<double>();
  std::vector<double> sums(static_cast<std::size_t>(batch.sequences), 0);
  for (std::size_t i = 0; i < batch.targets.size(); ++i) {
    sums[static_cast<std::size_t>(batch.targets[i].sequence)] += values[i];
  }
  return sums;
}

void require_finite(double loss, const std::string& folder, std::int64_t row) {
  if (std::isfinite(loss)) return;
  throw NonFiniteError(
      fmt::format("{}: the loss of row {} is not finite; try `dtype` float32", folder, row + 1));
}

template <typename Example>
std::vector<const Example*> choose(const std::vector<Example>& all,
                                   const std::vector<std::int64_t>& members) {
  std::vector<const Example*> chosen;
  for (const std::int64_t member : members)
    chosen.push_back(&all[static_cast<std::size_t>(member)]);
  return chosen;
}

}  // namespace

TaskEvaluation::TaskEvaluation(const Task& task, std::string split,
                               const std::vector<TaskRow>& rows, const ExampleEncoder& encoder,
                               const EvaluationOptions& options)
    : encoder_(encoder),
      type_(task.type),
      task_(task.name),
      split_(std::move(split)),
      folder_(task.folder.string()),
      scoring_(options.scoring.value_or(
          task.type == TaskType::kClassification ? Scoring::kRank : Scoring::kGenerate)),
      metric_(metric_of(task, scoring_)),
      stop_(options.stop),
      max_new_tokens_(options.max_new_tokens),
      rows_(rows) {
  const bool ranks = scoring_ == Scoring::kRank || scoring_ == Scoring::kRankNorm;
  if (ranks && task.type == TaskType::kGeneration) {
    throw Error(
        fmt::format("{}: a generation task has no labels to rank; leave `scoring` out or use "
                    "`scoring` generate",
                    folder_));
  }
  encode_rows(task);
  if (scoring_ == Scoring::kGenerate) encode_prompts(task);
  require_same_rows();
}

void TaskEvaluation::require_same_rows() const {
  if (world().alone()) return;
  Fingerprint all;
  for (const TaskRow& row : rows_) {
    all.add(row.output);
    for (const std::string& reference : row.references) all.add(reference);
    for (const std::string& label : row.labels) all.add(label);
  }
  for (const RankedExample& example : ranked_) {
    all.add(example.trunk);
    all.add(example.gold);
    for (const RankedExample::Label& label : example.labels) {
      all.add(label.ids);
      all.add(label.scored_tokens);
      all.add(label.characters);
    }
  }
  for (const AnswerExample& example : answers_) {
    all.add(example.ids);
    all.add(example.answer_tokens);
  }
  for (const std::vector<std::int64_t>& prompt : prompts_) all.add(prompt);
  all.add(max_new_tokens_);
  world().require_same(fmt::format("{} (split {}: rows, labels or tokens)", folder_, split_),
                       all.hex());
}

void TaskEvaluation::encode_rows(const Task& task) {
  const bool ranks = scoring_ == Scoring::kRank || scoring_ == Scoring::kRankNorm;
  for (const TaskRow& row : rows_) {
    const std::string where = fmt::format("{}:{}", split_path(task, split_).string(), row.line);
    if (ranks) {
      ranked_.push_back(encoder_.encode_labels(row, where));
      truncated_ += ranked_.back().truncated ? 1 : 0;
    } else {
      answers_.push_back(encoder_.encode(row, where));
      truncated_ += answers_.back().truncated ? 1 : 0;
    }
  }
  prefix_ = ranks ? shared_prefix_tokens(ranked_) : shared_prefix_tokens(answers_);
}

std::int64_t TaskEvaluation::examples() const { return static_cast<std::int64_t>(rows_.size()); }

void TaskEvaluation::run_ranking(const Pass& pass, const Members& members) const {
  const RankingBatch ranking =
      ranking_batch(choose(ranked_, members), encoder_.options().end_of_sequence, prefix_);
  const std::vector<double> nll = sequence_nll(pass.decoder, ranking.batch, pass.hook);
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto row = static_cast<std::size_t>(members[i]);
    const RankedExample& example = ranked_[row];
    Prediction& prediction = pass.predictions[row];
    std::size_t best = 0;
    std::vector<double> compared;
    for (std::size_t k = 0; k < example.labels.size(); ++k) {
      const double log_probability = -nll[static_cast<std::size_t>(ranking.first_sequence[i]) + k];
      prediction.scores.push_back(log_probability);
      const auto characters =
          static_cast<double>(std::max<std::int64_t>(1, example.labels[k].characters));
      compared.push_back(scoring_ == Scoring::kRankNorm ? log_probability / characters
                                                        : log_probability);
      if (compared[k] > compared[best]) best = k;
    }
    const auto gold = static_cast<std::size_t>(example.gold);
    prediction.gold = example.gold;
    prediction.prediction = rows_[row].labels[best];
    prediction.score = best == gold ? 1 : 0;
    const double end_nll = nll[static_cast<std::size_t>(ranking.end_sequence[i])];
    prediction.loss = (end_nll - prediction.scores[gold]) /
                      static_cast<double>(example.labels[gold].scored_tokens + 1);
  }
}

void TaskEvaluation::run_loss(const Pass& pass, const Members& members) const {
  const Batch batch = shared_prefix_batch(choose(answers_, members), prefix_);
  const std::vector<double> nll = sequence_nll(pass.decoder, batch, pass.hook);
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto row = static_cast<std::size_t>(members[i]);
    Prediction& prediction = pass.predictions[row];
    prediction.loss = nll[i] / static_cast<double>(answers_[row].answer_tokens);
    if (scoring_ == Scoring::kLoss) prediction.score = prediction.loss;
  }
}

// Tokens that each row adds to its batch, beside the prefix.
std::vector<std::int64_t> TaskEvaluation::lengths() const {
  std::vector<std::int64_t> lengths;
  for (const RankedExample& example : ranked_) lengths.push_back(ranking_tokens(example) - prefix_);
  for (const AnswerExample& example : answers_) {
    lengths.push_back(static_cast<std::int64_t>(example.ids.size()) - prefix_);
  }
  return lengths;
}

BatchDemand TaskEvaluation::demand() const {
  BatchDemand demand;
  demand.lengths = lengths();
  demand.shared_tokens = prefix_;
  for (const RankedExample& example : ranked_) {
    const auto trunk = static_cast<std::int64_t>(example.trunk.size());
    demand.logit_rows = std::max(demand.logit_rows, ranking_tokens(example) - trunk + 1);
  }
  for (const AnswerExample& example : answers_) {
    demand.logit_rows = std::max(demand.logit_rows, example.answer_tokens);
  }
  if (!prompts_.empty()) demand.new_tokens = max_new_tokens_;
  return demand;
}

void TaskEvaluation::score_members(const Pass& pass) const {
  const std::vector<std::int64_t> lengths = this->lengths();
  const bool generates = scoring_ == Scoring::kGenerate;
  const std::vector<Members> groups = world().own_share(even_groups(lengths, pass.limits));
  const std::int64_t ranks = world().size();  // that are as far as this one
  const auto work = [&](std::int64_t g) {
    const Members& members = groups[static_cast<std::size_t>(g)];
    if (ranked_.empty()) {
      run_loss(pass, members);
    } else {
      run_ranking(pass, members);
    }
  };
  const auto finish = [&](std::int64_t g) {
    const Members& members = groups[static_cast<std::size_t>(g)];
    std::int64_t tokens = 0;
    for (const std::int64_t row : members) tokens += lengths[static_cast<std::size_t>(row)];
    // An example is done when its text is.
    pass.progress(generates ? 0 : static_cast<std::int64_t>(members.size()) * ranks,
                  tokens * ranks);
  };
  run_side_by_side(static_cast<std::int64_t>(groups.size()), pass.limits.workers, work, finish);
}

TaskResult TaskEvaluation::run(const Decoder& decoder, NeuronHook& hook, const BatchLimits& limits,
                               const EvaluationProgress& progress) const {
  std::vector<Prediction> predictions(rows_.size());
  const Pass pass{decoder, hook, limits, progress, predictions};
  score_members(pass);
  if (scoring_ == Scoring::kGenerate) generate_members(pass);
  share_predictions(predictions);
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    predictions[row].index = static_cast<std::int64_t>(row);
    predictions[row].reference = rows_[row].output;
    require_finite(predictions[row].loss, folder_, predictions[row].index);
  }
  return summed_up(std::move(predictions));
}

TaskResult TaskEvaluation::result_of(std::vector<Prediction> kept, const std::string& where) const {
  const auto require = [&](bool holds, const std::string& what) {
    if (!holds) throw Error(fmt::format("{}: {}", where, what));
  };
  require(kept.size() == rows_.size(),
          fmt::format("holds {} of {} examples", kept.size(), rows_.size()));
  for (std::size_t row = 0; row < rows_.size(); ++row) {
    const Prediction& prediction = kept[row];
    const std::size_t labels = ranked_.empty() ? 0 : ranked_[row].labels.size();
    const bool fits = prediction.index == static_cast<std::int64_t>(row) &&
                      prediction.reference == rows_[row].output &&
                      prediction.scores.size() == labels &&
                      (labels == 0 || prediction.gold == ranked_[row].gold) &&
                      prediction.score >= 0 && prediction.score <= 1;
    require(fits, fmt::format("example {} is not that of {}", row, folder_));
  }
  return summed_up(std::move(kept));
}

TaskResult TaskEvaluation::summed_up(std::vector<Prediction> predictions) const {
  TaskResult result;
  result.task = task_;
  result.split = split_;
  result.metric = metric_;
  result.examples = examples();
  result.truncated = truncated_;
  result.predictions = std::move(predictions);
  std::vector<double> scores, losses;
  for (const Prediction& prediction : result.predictions) {
    scores.push_back(prediction.score);
    losses.push_back(prediction.loss);
  }
  result.value = mean(scores);
  result.standard_error = standard_error(scores);
  result.loss = mean(losses);
  return result;
}

BatchDemand perplexity_demand(const TextWindows& text) {
  BatchDemand demand;
  for (const AnswerExample& window : text.windows) {
    demand.lengths.push_back(static_cast<std::int64_t>(window.ids.size()));
  }
  demand.logit_rows = text.window_tokens;
  return demand;
}

PerplexityResult evaluate_perplexity(const Decoder& decoder, NeuronHook& hook,
                                     const TextWindows& text, const BatchLimits& limits,
                                     const EvaluationProgress& progress) {
  const std::vector<AnswerExample>& windows = text.windows;
  std::vector<std::int64_t> lengths;
  for (const AnswerExample& window : windows) {
    lengths.push_back(static_cast<std::int64_t>(window.ids.size()));
  }
  PerplexityResult result;
  std::vector<double> window_loss;
  double total = 0;
  const auto groups = even_groups(lengths, limits);
  const auto own = world().own_share(groups);
  std::vector<double> nll(windows.size());  // of every window, once all ranks have theirs
  const auto work = [&](std::int64_t g) {
    const std::vector<std::int64_t>& members = own[static_cast<std::size_t>(g)];
    const auto found = sequence_nll(decoder, answer_batch(choose(windows, members)), hook);
    for (std::size_t i = 0; i < members.size(); ++i) {
      nll[static_cast<std::size_t>(members[i])] = found[i];
    }
  };
  const auto finish = [&](std::int64_t g) {
    const std::vector<std::int64_t>& members = own[static_cast<std::size_t>(g)];
    std::int64_t tokens = 0;
    for (const std::int64_t window : members) {
      tokens += windows[static_cast<std::size_t>(window)].answer_tokens;
    }
    progress(static_cast<std::int64_t>(members.size()) * world().size(), tokens * world().size());
  };
  run_side_by_side(static_cast<std::int64_t>(own.size()), limits.workers, work, finish);
  world().sum(nll);
  for (const std::vector<std::int64_t>& members : groups) {
    for (const std::int64_t window : members) {
      const std::int64_t predicted = windows[static_cast<std::size_t>(window)].answer_tokens;
      const double loss = nll[static_cast<std::size_t>(window)];
      window_loss.push_back(loss / static_cast<double>(predicted));
      total += loss;
      result.tokens += predicted;
    }
  }
  result.windows = static_cast<std::int64_t>(windows.size());
  result.loss = total / static_cast<double>(result.tokens);
  result.perplexity = std::exp(result.loss);
  result.standard_error = result.perplexity * standard_error(window_loss);
  return result;
}

}  // namespace taskneuron
