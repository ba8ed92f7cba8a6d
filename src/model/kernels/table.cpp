#include "model/kernels/table.h"

#include <cstring>

namespace taskneuron::kernels {

#define TASKNEURON_DECLARE(instructions)                             \
  extern const Table<float>* const float_table_##instructions;       \
  extern const Table<double>* const double_table_##instructions;     \
  extern const Table<Bfloat16>* const bfloat16_table_##instructions; \
  template <typename T>                                              \
  const Table<T>* table_##instructions();                            \
  template <>                                                        \
  const Table<float>* table_##instructions<float>() {                \
    return float_table_##instructions;                               \
  }                                                                  \
  template <>                                                        \
  const Table<double>* table_##instructions<double>() {              \
    return double_table_##instructions;                              \
  }                                                                  \
  template <>                                                        \
  const Table<Bfloat16>* table_##instructions<Bfloat16>() {          \
    return bfloat16_table_##instructions;                            \
  }

TASKNEURON_DECLARE(generic)
#ifdef TASKNEURON_X86
TASKNEURON_DECLARE(avx2)
TASKNEURON_DECLARE(avx512)
TASKNEURON_DECLARE(avx512bf16)
#endif

namespace {

enum class Level { kGeneric, kAvx2, kAvx512, kAvx512Bfloat16 };

Level find_level() {
#ifdef TASKNEURON_X86
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq")) {
    return __builtin_cpu_supports("avx512bf16") ? Level::kAvx512Bfloat16 : Level::kAvx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Level::kAvx2;
#endif
  return Level::kGeneric;
}

Level& level() {
  static Level found = find_level();
  return found;
}

const char* name_of(Level level) {
  switch (level) {
    case Level::kAvx512Bfloat16: return "avx512bf16";
    case Level::kAvx512: return "avx512";
    case Level::kAvx2: return "avx2";
    case Level::kGeneric: break;
  }
  return "generic";
}

}  // namespace

template <typename T>
const Table<T>& table() {
#ifdef TASKNEURON_X86
  if (level() == Level::kAvx512Bfloat16) return *table_avx512bf16<T>();
  if (level() == Level::kAvx512) return *table_avx512<T>();
  if (level() == Level::kAvx2) return *table_avx2<T>();
#endif
  return *table_generic<T>();
}
template const Table<float>& table<float>();
template const Table<double>& table<double>();
template const Table<Bfloat16>& table<Bfloat16>();

const char* instruction_set() { return name_of(level()); }

bool use_instruction_set(const char* name) {
  for (const Level wanted :
       {Level::kGeneric, Level::kAvx2, Level::kAvx512, Level::kAvx512Bfloat16}) {
    if (std::strcmp(name, name_of(wanted)) != 0 || wanted > find_level()) continue;
    level() = wanted;
    return true;
  }
  return false;
}

}  // namespace taskneuron::kernels
