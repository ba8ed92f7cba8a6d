#include "taskneuron/base/error.h"

#include <fmt/format.h>

#include <filesystem>

namespace taskneuron {

UsageError::UsageError(const std::string& option, const std::string& found,
                       const std::string& allowed, const std::string& wrong)
    : Error(fmt::format("`{}` '{}' {}; use {}", option, found, wrong, allowed)),
      option_(option),
      found_(found),
      allowed_(allowed) {}

void check_failed(const char* condition, const char* file, int line) {
  throw std::logic_error(fmt::format("internal error at {}:{}: {} does not hold; please report it",
                                     std::filesystem::path(file).filename().string(), line,
                                     condition));
}

}  // namespace taskneuron
