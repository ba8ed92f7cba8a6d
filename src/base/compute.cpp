#include "taskneuron/base/compute.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <sched.h>

#include <cctype>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/torch_compat.h"
#include "base/world.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/progress.h"

namespace taskneuron {

namespace {

bool processor_has_flag(const std::string& wanted) {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    if (line.rfind("flags", 0) != 0) continue;
    std::istringstream flags(line);
    for (std::string flag; flags >> flag;) {
      if (flag == wanted) return true;
    }
    return false;
  }
  return false;
}

using SetThreads = void (*)(int);

SetThreads find_openblas() {
  return reinterpret_cast<SetThreads>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"));
}

}  // namespace

int available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

void set_threads(int threads) {
  const int processors = available_processors();
  if (threads == 0) {
    const char* environment = std::getenv("OMP_NUM_THREADS");
    // torchrun sets 1 by itself where it starts several.
    const bool torchruns =
        std::getenv("TORCHELASTIC_RUN_ID") != nullptr && world_place().local_size > 1;
    const bool given = environment != nullptr && !(torchruns && environment == std::string("1"));
    if (given) threads = std::atoi(environment);
    const auto neighbours = static_cast<int>(world().neighbours());
    if (threads <= 0) threads = std::max(1, processors / neighbours);
  } else if (threads > processors) {
    warn(fmt::format("threads: {} is more than the {} processors available; expect it to be slower",
                     threads, processors));
  }
  at::set_num_threads(threads);
  if (const SetThreads set = find_openblas()) set(1);
}

bool uses_openblas() {
  static const bool found = find_openblas() != nullptr;
  return found;
}

at::Device parse_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  const bool numbered = name.size() > 5 && name.rfind("cuda:", 0) == 0 && name.size() < 8;
  bool digits = numbered;
  for (std::size_t i = 5; numbered && i < name.size(); ++i) {
    digits = digits && std::isdigit(static_cast<unsigned char>(name[i])) != 0;
  }
  if (name != "cuda" && !digits) {
    throw UsageError("device", name, "cpu, cuda or cuda:N");
  }
  if (!at::hasCUDA()) {
    throw Error(fmt::format(
        "`device` {}: this LibTorch was built without CUDA or finds no GPU; use `device` cpu, or "
        "build taskneuron against a CUDA build of LibTorch",
        name));
  }
  // Each rank of a machine has a GPU of its own.
  const WorldPlace& place = world().place();
  if (!numbered && place.local_size > 1)
    return at::Device(fmt::format("cuda:{}", place.local_rank));
  return at::Device(name);
}

bool has_fast_bfloat16(at::Device device) {
  if (!device.is_cpu()) return true;
  return processor_has_flag("avx512_bf16") || processor_has_flag("amx_bf16");
}

std::string dtype_name(at::ScalarType dtype) {
  switch (dtype) {
    case at::kFloat: return "float32";
    case at::kBFloat16: return "bfloat16";
    case at::kHalf: return "float16";
    case at::kDouble: return "float64";
    case at::kLong: return "int64";
    case at::kInt: return "int32";
    case at::kByte: return "uint8";
    case at::kBool: return "bool";
    default: return c10::toString(dtype);
  }
}

}  // namespace taskneuron
