// The training state of a run of 100 steps that trains two units: its header, a zero byte, its data
// (memory_file.h).
#include <ATen/ATen.h>

#include "fuzz.h"
#include "memory_file.h"
#include "train/state_reader.h"

namespace {

using namespace taskneuron;

constexpr std::int64_t kSteps = 100;
const char* const kParts[] = {"master.", "first.", "second.", "best."};

void read(std::string_view input) {
  static MemoryFile file;
  file.write_tensors(input);
  StateReader reader(file.path());
  TrainingState state;
  at::Tensor target = at::empty({2, 4});
  for (const char* part : kParts) {
    if (reader.contains(part + std::string("up"))) reader.read(part + std::string("up"), target);
    if (!at::isfinite(target).all().item<bool>()) __builtin_trap();
  }
  reader.read_counters(kSteps, state);
  if (state.step > kSteps || state.best_step > state.step || state.tokens < 0) __builtin_trap();
  reader.text("terms");
  reader.take_all("term.l2/");
  reader.require_nothing_left();
}

void write_seeds(const std::filesystem::path& folder) {
  TrainingState state;
  state.step = 12;
  state.tokens = 345;
  state.best_step = 6;
  state.evaluated_step = 12;
  NamedTensors tensors;
  for (const char* part : kParts) tensors.emplace_back(part + std::string("up"), at::ones({2, 4}));
  tensors.emplace_back("term.l2/start", at::ones({3}, at::kDouble));
  auto metadata = state_counters(state);
  metadata["terms"] = "l2";
  write_safetensors(folder / "state.safetensors", std::move(tensors), metadata);
  write_tensors_seed(folder / "state.safetensors", folder / "seed-state");
  std::filesystem::remove(folder / "state.safetensors");
}

}  // namespace

TASKNEURON_FUZZ_SEEDED(read, write_seeds)
