// What `taskneuron train --set` computes, warm and on command: train MODEL TASK DTYPE LIMIT SET
// BATCH. A pass is one epoch of AdamW steps, the same batches every time, the weights going on from
// the pass before; it prints the loss of every step. `save PATH` writes the examples as token ids
// in the order of the batches, for the peers.
#include <fmt/ranges.h>

#include <fstream>

#include "base/torch_compat.h"
#include "bench/token_ids.h"
#include "bench/worker.h"
#include "taskneuron/neuron/neuron_set.h"
#include "taskneuron/train/trainer.h"

int main(int argc, char** argv) {
  using namespace taskneuron;
  if (argc != 7) return 2;
  bench::start();
  bench::Workload work(argv[1], argv[2], argv[3], std::atoll(argv[4]));
  TrainableOptions units;
  for (const auto& [site, own] : load_set(argv[5]).sites) units.units[site] = own.units;
  TrainableModel model = make_trainable(work.checkpoint, work.decoder, units);
  TrainerOptions options;
  options.sampling.batch = std::atoll(argv[6]);
  const Sampler sampler({static_cast<std::int64_t>(work.examples.size())}, options.sampling);
  options.schedule.steps = sampler.steps_per_epoch();
  Trainer trainer(model, {{"task", work.examples, {}}}, options);
  trainer.set_limits(fit_batches(work.checkpoint, work.decoder.options(), trainer.demand(),
                                 {0, 2048}, default_memory_budget(work.checkpoint)));
  bench::serve(
      work.tokens,
      [&](const std::string&) {
        std::vector<double> losses;
        for (std::int64_t step = 1; step <= trainer.steps(); ++step) {
          losses.push_back(trainer.step(step).loss);
        }
        return fmt::format(", \"losses\": [{}]", fmt::join(losses, ", "));
      },
      [&](const std::string& path) {
        std::vector<std::string> lines;
        for (const auto& step : sampler.steps(trainer.steps())) {
          for (const ExampleRef& ref : step) {
            lines.push_back(bench::as_json(work.examples[static_cast<std::size_t>(ref.row)]));
          }
        }
        std::ofstream(path) << fmt::format("[{}]\n", fmt::join(lines, ",\n"));
      });
  return 0;
}
