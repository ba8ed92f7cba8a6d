#include "taskneuron/base/error.h"

#include <fmt/format.h>

#include <filesystem>

namespace taskneuron {

void check_failed(const char* condition, const char* file, int line) {
  throw std::logic_error(fmt::format("internal error at {}:{}: {} does not hold; please report it",
                                     std::filesystem::path(file).filename().string(), line,
                                     condition));
}

}  // namespace taskneuron
