// Log-probabilities of the labels of a classification task, warm and on command: ranking MODEL TASK
// LIMIT. `run` runs each prompt once with its labels as branches, `run whole` every label with its
// whole prompt; tokens are those of the prompts, once. `save PATH` writes the log-probabilities,
// float32, example by example.
#include <fmt/format.h>

#include <fstream>

#include "base/torch_compat.h"
#include "bench/worker.h"
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
  if (argc != 4) return 2;
  bench::start();
  const Checkpoint checkpoint(argv[1]);
  const Decoder decoder(checkpoint, {choose_dtype("auto", checkpoint, at::kCPU), at::kCPU});
  const Tokenizer tokenizer(argv[1]);
  const PromptTemplate prompt = PromptTemplate::find("default");
  const ExampleEncoder encoder(tokenizer, prompt,
                               {checkpoint.config().max_positions, *tokenizer.end_of_sequence()});
  std::vector<RankedExample> examples;
  std::int64_t tokens = 0;
  for (const TaskRow& row : load_split(load_task(argv[2]), "train", std::atoll(argv[3]))) {
    examples.push_back(encoder.encode_labels(row, argv[2]));
    tokens += static_cast<std::int64_t>(examples.back().trunk.size());
  }
  std::vector<std::vector<double>> chances;
  bench::serve(
      tokens,
      [&](const std::string& way) {
        chances =
            way == "whole" ? as_whole_prompts(decoder, examples) : as_branches(decoder, examples);
        return std::string();
      },
      [&](const std::string& path) {
        std::ofstream out(path, std::ios::binary);
        for (const std::vector<double>& labels : chances) {
          for (const double chance : labels) {
            const auto value = static_cast<float>(chance);
            out.write(reinterpret_cast<const char*>(&value), sizeof(value));
          }
        }
      });
  return 0;
}
