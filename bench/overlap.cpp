// Every two of many sets with the exact chances, and the files that they come from:
// overlap TASKS LAYERS WIDTH PERCENT [shared]. With `shared`, half of every set is the same units.
#include <fmt/format.h>

#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "base/json.h"
#include "bench/timing.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/random.h"
#include "taskneuron/neuron/comparison.h"
#include "taskneuron/neuron/set_algebra.h"
#include "taskneuron/neuron/shared_core.h"

namespace {

using namespace taskneuron;

// Layers differ in size, as they do where units are chosen over the whole model.
NeuronSet draw_set(std::int64_t layers, std::int64_t width, double share, Random& random) {
  NeuronSet set;
  set.sites[Site::kAct].width = width;
  for (std::int64_t l = 0; l < layers; ++l) {
    const double size = share * static_cast<double>(width) * (0.5 + random.uniform());
    set.sites[Site::kAct].units.push_back(
        random.sample(width, std::min(width, static_cast<std::int64_t>(size))));
  }
  return set;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  const std::int64_t tasks = std::atoll(argv[1]), layers = std::atoll(argv[2]);
  const std::int64_t width = std::atoll(argv[3]);
  const double share = std::atof(argv[4]) / 100;
  const bool shared = argc == 6 && std::strcmp(argv[5], "shared") == 0;
  set_threads(0);
  Random random(1, "bench overlap");
  const NeuronSet core = draw_set(layers, width, share / 2, random);
  std::vector<NeuronSet> sets;
  for (std::int64_t t = 0; t < tasks; ++t) {
    sets.push_back(draw_set(layers, width, shared ? share / 2 : share, random));
    if (shared) sets.back() = union_of({sets.back(), core});
  }
  std::vector<const NeuronSet*> pointers;
  for (const NeuronSet& set : sets) pointers.push_back(&set);
  const double pairs = bench::median_seconds(3, [&] { compare_all(pointers); });
  const double cores = bench::median_seconds(1, [&] { shared_core(sets, {}); });
  const auto file =
      std::filesystem::temp_directory_path() / fmt::format("overlap-{}.json", ::getpid());
  save_set(sets.front(), file);
  const double load = bench::median_seconds(5, [&] { load_set(file); });
  std::filesystem::remove(file);
  const OutputJson result = {{"sets", tasks},          {"units", sets.front().size()},
                             {"of", layers * width},   {"pairs", tasks * (tasks - 1) / 2},
                             {"pairs_seconds", pairs}, {"core_seconds", cores},
                             {"file_seconds", load}};
  fmt::print("{}\n", result.dump());
  return 0;
}
