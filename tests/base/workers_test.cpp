#include "base/workers.h"

#include <ATen/Parallel.h>

#include <atomic>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support/support.h"
#include "taskneuron/base/compute.h"

namespace taskneuron {
namespace {

class SideBySide : public ::testing::Test {
 protected:
  void SetUp() override { at::set_num_threads(4); }
  void TearDown() override { set_threads(0); }
};

TEST_F(SideBySide, EverythingIsDoneOnceAndFinishedInOrder) {
  for (const std::int64_t workers : {1, 2, 3, 9}) {
    std::vector<std::atomic<int>> done(50);
    std::vector<std::int64_t> finished;
    run_side_by_side(
        50, workers, [&](std::int64_t i) { ++done[static_cast<std::size_t>(i)]; },
        [&](std::int64_t i) { finished.push_back(i); });
    for (const auto& count : done) EXPECT_EQ(count, 1);
    std::vector<std::int64_t> expected(50);
    std::iota(expected.begin(), expected.end(), 0);
    EXPECT_EQ(finished, expected);
  }
  run_side_by_side(
      0, 2, [](std::int64_t) { FAIL(); }, [](std::int64_t) { FAIL(); });
}

TEST_F(SideBySide, ThreadsAreSharedOut) {
  std::vector<int> threads(3);
  run_side_by_side(
      3, 3,
      [&](std::int64_t i) {
        // Wait until all three have one, so that none takes two.
        static std::atomic<int> begun{0};
        ++begun;
        while (begun < 3) std::this_thread::yield();
        threads[static_cast<std::size_t>(i)] = at::get_num_threads();
      },
      [](std::int64_t) {});
  EXPECT_EQ(std::accumulate(threads.begin(), threads.end(), 0), 4);
}

TEST_F(SideBySide, TheFirstFailureIsThrownAndNothingBehindItFinished) {
  for (const std::int64_t workers : {1, 4}) {
    std::vector<std::int64_t> finished;
    try {
      run_side_by_side(
          40, workers,
          [](std::int64_t i) {
            if (i >= 5) throw std::runtime_error(std::to_string(i));
          },
          [&](std::int64_t i) { finished.push_back(i); });
      FAIL() << "nothing thrown";
    } catch (const std::runtime_error& error) {
      EXPECT_STREQ(error.what(), "5");
    }
    EXPECT_EQ(finished, (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
  }
}

TEST_F(SideBySide, WorkersInheritWhetherGradientsAreFormed) {
  const at::NoGradGuard no_gradients;
  std::atomic<int> enabled{0};
  run_side_by_side(
      4, 2, [&](std::int64_t) { enabled += at::GradMode::is_enabled() ? 1 : 0; },
      [](std::int64_t) {});
  EXPECT_EQ(enabled, 0);
}

}  // namespace
}  // namespace taskneuron
