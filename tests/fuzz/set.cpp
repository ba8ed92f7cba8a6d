// A set of neurons, as select writes it.
#include "taskneuron/neuron/neuron_set.h"

#include "fuzz.h"
#include "memory_file.h"

namespace {

using namespace taskneuron;

void read(std::string_view input) {
  static MemoryFile file;
  file.write(input);
  const NeuronSet set = load_set(file.path());
  std::int64_t units = 0;
  for (const auto& [site, layers] : set.units()) {
    for (const auto& layer : layers) units += static_cast<std::int64_t>(layer.size());
  }
  if (units != set.size()) __builtin_trap();
}

}  // namespace

TASKNEURON_FUZZ(read)
