#pragma once

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "taskneuron/model/batch.h"
#include "taskneuron/model/neuron_hook.h"

namespace taskneuron::test {

std::filesystem::path fixtures();
std::filesystem::path examples();
// Every folder of fixtures/hf_parity, by name.
std::vector<std::string> family_fixtures();
// Of goldens: that of the environment's TASKNEURON_TEST_DEVICE (tests/device), or the CPU.
at::Device device();
// A folder beside the clone with more data, or an empty path when it is not there.
std::filesystem::path shared();

// ‖a − b‖ / ‖b‖ in float64; NaN if either holds one.
double relative_error(const at::Tensor& a, const at::Tensor& b);

// A folder under the system's temporary folder, removed at the end of the test.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Copies a model folder of one safetensors file with tensor `name` holding `value` at its start,
// as a damaged file would: save_model refuses values that are not finite.
void copy_damaged_model(const std::filesystem::path& from, const std::filesystem::path& to,
                        const std::string& name, float value);

// Runs action and returns the message of the taskneuron::Error it throws; fails the test and
// returns "" if it throws nothing.
std::string error_of(const std::function<void()>& action);

// A text with its answer at the end, as goldens store it.
struct TokenExample {
  std::vector<std::int64_t> ids;
  std::int64_t answer_tokens = 0;
};

// One segment per example, mean answer loss as target weights. all_logits: logits at every row.
Batch answer_batch(const std::vector<TokenExample>& examples, bool all_logits = false);

}  // namespace taskneuron::test

// Fails on NaN too.
#define EXPECT_CLOSE(a, b, tolerance)                                                 \
  do {                                                                                \
    const double error_ = ::taskneuron::test::relative_error((a), (b));               \
    EXPECT_TRUE(error_ <= (tolerance)) << #a " vs " #b ": relative error " << error_; \
  } while (false)
