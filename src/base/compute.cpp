#include "taskneuron/base/compute.h"

#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <dlfcn.h>
#include <fmt/format.h>
#include <sched.h>

#include <cstdlib>
#include <fstream>
#include <map>
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

// By their names in LibTorch; the last is what backends from elsewhere use, as tests/device does.
const std::map<std::string, at::DeviceType> kDeviceTypes = {
    {"cuda", at::kCUDA}, {"xpu", at::kXPU}, {"privateuseone", c10::DeviceType::PrivateUse1}};

std::int64_t devices_of(at::DeviceType type) {
  const auto* backend =
      c10::impl::device_guard_impl_registry[static_cast<std::size_t>(type)].load();
  return backend == nullptr ? 0 : backend->deviceCount();
}

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
  const std::size_t colon = name.find(':');
  const std::string kind = name.substr(0, colon);
  const std::string number = colon == std::string::npos ? "" : name.substr(colon + 1);
  const bool numbered = colon != std::string::npos;
  const bool is_number = !number.empty() && number.size() < 3 &&
                         number.find_first_not_of("0123456789") == std::string::npos;
  if (kDeviceTypes.count(kind) == 0 || (numbered && !is_number)) {
    throw UsageError("device", name, "cpu, cuda or cuda:N");
  }
  const std::int64_t count = devices_of(kDeviceTypes.at(kind));
  if (count == 0) {
    throw Error(fmt::format(
        "`device` {}: this LibTorch was built without {} or finds no device; use `device` cpu, or "
        "build taskneuron against another LibTorch (docs/cluster.md)",
        name, kind == "cuda" ? "CUDA" : kind));
  }
  // Each rank of a machine has one of its own.
  const WorldPlace& place = world().place();
  const std::int64_t index = numbered               ? std::stoll(number)
                             : place.local_size > 1 ? place.local_rank
                                                    : 0;
  if (index >= count) {
    throw Error(fmt::format("`device` {}: this machine has {}, the last of which is {}:{}",
                            numbered ? name : fmt::format("{}:{}", kind, index), count, kind,
                            count - 1));
  }
  return {kDeviceTypes.at(kind), static_cast<c10::DeviceIndex>(index)};
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
