// What `taskneuron detect` computes, warm and on command: detect MODEL TASK DTYPE LIMIT
// BATCH_TOKENS. A pass scores every unit on all rows. `save PATH` writes the sums of |relevance| by
// example, float32 [layers, width].
#include <fstream>

#include "base/torch_compat.h"
#include "bench/worker.h"
#include "taskneuron/neuron/scorer.h"

int main(int argc, char** argv) {
  using namespace taskneuron;
  if (argc != 6) return 2;
  bench::start();
  const bench::Workload work(argv[1], argv[2], argv[3], std::atoll(argv[4]));
  ScoreOptions options;
  options.limits = bench::planned(work, score_demand(work.examples, options), std::atoll(argv[5]));
  Scores scores;
  bench::serve(
      work.tokens,
      [&](const std::string&) {
        scores = score_units(work.checkpoint, work.decoder, work.examples, options,
                             [](double, std::int64_t) {});
        return std::string();
      },
      [&](const std::string& path) {
        const at::Tensor sums =
            scores.sites.at(Site::kAct).example_abs_sum.to(at::kFloat).contiguous();
        std::ofstream(path, std::ios::binary)
            .write(static_cast<const char*>(sums.data_ptr()),
                   static_cast<std::streamsize>(sums.nbytes()));
      });
  return 0;
}
