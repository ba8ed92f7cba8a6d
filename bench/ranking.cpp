// Seconds to rank the labels of a classification task: each prompt run once with its labels as
// branches, against every label with its whole prompt, in one run. ranking MODEL TASK LIMIT OUT;
// OUT receives the log-probabilities, float32.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>

#include "base/torch_compat.h"
#include "bench/timing.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/tensor_pool.h"
#include "taskneuron/data/batching.h"
#include "taskneuron/model/decoder.h"

namespace {

using namespace taskneuron;

const BatchLimits kLimits{0, 2048};

std::vector<double> nll_by_sequence(const Decoder& decoder, const Batch& batch) {
  const at::NoGradGuard no_gradients;
  NeuronHook none;
  const at::Tensor nll = decoder.target_nll(decoder.features(batch, none), batch).to(at::kDouble);
  std::vector<double> sums(static_cast<std::size_t>(batch.sequences), 0);
  for (std::size_t i = 0; i < batch.targets.size(); ++i) {
    sums[static_cast<std::size_t>(batch.targets[i].sequence)] += nll.data_ptr<double>()[i];
  }
  return sums;
}

// Log-probabilities, label by label of each example.
std::vector<std::vector<double>> as_branches(const Decoder& decoder,
                                             const std::vector<RankedExample>& examples) {
  std::vector<std::vector<double>> result(examples.size());
  std::vector<std::int64_t> lengths;
  for (const RankedExample& example : examples) lengths.push_back(ranking_tokens(example));
  for (const auto& members : group_by_length(lengths, kLimits)) {
    std::vector<const RankedExample*> chosen;
    for (const std::int64_t e : members) chosen.push_back(&examples[static_cast<std::size_t>(e)]);
    const RankingBatch ranking = ranking_batch(chosen, 0);
    const std::vector<double> nll = nll_by_sequence(decoder, ranking.batch);
    for (std::size_t i = 0; i < members.size(); ++i) {
      auto& own = result[static_cast<std::size_t>(members[i])];
      for (std::size_t k = 0; k < chosen[i]->labels.size(); ++k) {
        own.push_back(-nll[static_cast<std::size_t>(ranking.first_sequence[i]) + k]);
      }
    }
  }
  return result;
}

std::vector<std::vector<double>> as_whole_prompts(const Decoder& decoder,
                                                  const std::vector<RankedExample>& examples) {
  std::vector<AnswerExample> prompts;
  std::vector<std::int64_t> lengths;
  for (const RankedExample& example : examples) {
    for (const RankedExample::Label& label : example.labels) {
      AnswerExample& prompt = prompts.emplace_back();
      prompt.ids = example.trunk;
      prompt.ids.insert(prompt.ids.end(), label.ids.begin(), label.ids.end());
      prompt.answer_tokens = label.scored_tokens;
      lengths.push_back(static_cast<std::int64_t>(prompt.ids.size()));
    }
  }
  std::vector<double> flat(prompts.size());
  for (const auto& members : group_by_length(lengths, kLimits)) {
    std::vector<const AnswerExample*> chosen;
    for (const std::int64_t e : members) chosen.push_back(&prompts[static_cast<std::size_t>(e)]);
    const std::vector<double> nll = nll_by_sequence(decoder, answer_batch(chosen));
    for (std::size_t i = 0; i < members.size(); ++i) {
      flat[static_cast<std::size_t>(members[i])] = -nll[i];
    }
  }
  std::vector<std::vector<double>> result;
  std::size_t next = 0;
  for (const RankedExample& example : examples) {
    auto& own = result.emplace_back();
    for (std::size_t k = 0; k < example.labels.size(); ++k) own.push_back(flat[next++]);
  }
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  set_threads(0);
  use_tensor_pool();
  const Checkpoint checkpoint(argv[1]);
  const Decoder decoder(checkpoint, {choose_dtype("auto", checkpoint, at::kCPU), at::kCPU});
  const Tokenizer tokenizer(argv[1]);
  const PromptTemplate prompt = PromptTemplate::find("default");
  const ExampleEncoder encoder(tokenizer, prompt,
                               {checkpoint.config().max_positions, *tokenizer.end_of_sequence()});
  std::vector<RankedExample> examples;
  double tokens = 0;
  for (const TaskRow& row : load_split(load_task(argv[2]), "train", std::atoll(argv[3]))) {
    examples.push_back(encoder.encode_labels(row, argv[2]));
    tokens += static_cast<double>(examples.back().trunk.size());
  }
  std::vector<std::vector<double>> one, other;
  const double branches = bench::median_seconds(3, [&] { one = as_branches(decoder, examples); });
  const double whole =
      bench::median_seconds(3, [&] { other = as_whole_prompts(decoder, examples); });
  double difference = 0;
  std::ofstream out(argv[4], std::ios::binary);
  for (std::size_t e = 0; e < one.size(); ++e) {
    for (std::size_t k = 0; k < one[e].size(); ++k) {
      difference = std::max(difference, std::abs(one[e][k] - other[e][k]));
      const auto value = static_cast<float>(one[e][k]);
      out.write(reinterpret_cast<const char*>(&value), sizeof(value));
    }
  }
  fmt::print(
      "{{\"examples\": {}, \"labels\": {}, \"trunk_tokens\": {:.1f}, \"seconds\": {}, "
      "\"tokens_per_second\": {}, "
      "\"whole_prompt_seconds\": {}, \"ratio\": {}, \"largest_difference\": {}}}\n",
      examples.size(), examples.front().labels.size(),
      tokens / static_cast<double>(examples.size()), branches, tokens / branches, whole,
      whole / branches, difference);
  return 0;
}
