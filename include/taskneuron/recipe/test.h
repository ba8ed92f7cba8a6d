#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "taskneuron/analysis/set_test.h"
#include "taskneuron/base/options.h"

namespace taskneuron {

// Own against random sets, from the predictions that evaluations of trained models wrote (method,
// "Is it more than chance?").
struct TestOptions {
  std::string own;  // "FILE,FILE": trainings from several seeds
  std::vector<std::string> random;
  std::string original;
  std::vector<std::string> matrix;
  std::string expect = "higher";
  std::uint64_t seed = 0;
  void declare(OptionList& list);
  // Throws what is known to be wrong before a file is read.
  void check() const;
};

struct TestResult {
  SetTest test;
  std::vector<std::string> matrix_tasks;
  std::optional<CrossMatrix> matrix;  // every task's model on every task
};

TestResult test(const TestOptions& options);

}  // namespace taskneuron
