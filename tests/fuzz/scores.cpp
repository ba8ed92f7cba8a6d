// A score file: its header, a zero byte, its data (memory_file.h).
#include "taskneuron/neuron/scores.h"

#include <ATen/ATen.h>

#include "fuzz.h"
#include "memory_file.h"

namespace {

using namespace taskneuron;

void read(std::string_view input) {
  static MemoryFile file;
  file.write_tensors(input);
  const Scores scores = load_scores(file.path());
  Scores twice = scores;
  twice.merge(scores, "input");
  for (const auto& item : scores.sites) {
    const at::Tensor relevance = scores.relevance(item.first);
    if (!at::isfinite(relevance).all().item<bool>() || (relevance < 0).any().item<bool>())
      __builtin_trap();
  }
}

void write_seeds(const std::filesystem::path& folder) {
  Scores scores;
  scores.info.task = "task";
  scores.info.method = "taylor";
  scores.info.aggregate = "example";
  scores.examples = scores.denominator = 2;
  scores.tokens = 9;
  const auto sums = [](int width) {
    const at::Tensor some = at::arange(1, 2 * width + 1, at::kDouble).reshape({2, width});
    return SiteSums{some, some * 2, some * 3, some * some};
  };
  scores.sites[Site::kAct] = sums(3);
  save_scores(scores, folder / "scores.safetensors");
  write_tensors_seed(folder / "scores.safetensors", folder / "seed-act");
  scores.sites[Site::kOut] = sums(2);
  save_scores(scores, folder / "scores.safetensors");
  write_tensors_seed(folder / "scores.safetensors", folder / "seed-act-out");
  std::filesystem::remove(folder / "scores.safetensors");
}

}  // namespace

TASKNEURON_FUZZ_SEEDED(read, write_seeds)
