#include <signal.h>

#include <fstream>
#include <set>
#include <thread>

#include "base/file.h"
#include "base/sha256.h"
#include "base/text_distance.h"
#include "support/support.h"
#include "taskneuron/base/interruption.h"
#include "taskneuron/base/memory.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/base/random.h"
#include "taskneuron/base/statistics.h"
#include "taskneuron/base/tensor_pool.h"

namespace taskneuron {
namespace {

using test::error_of;

TEST(Random, StreamsAreReproducibleAndIndependent) {
  Random a(7, "one"), b(7, "one"), other_stream(7, "two"), other_seed(8, "one");
  const std::uint64_t first = a.next();
  EXPECT_EQ(first, b.next());
  EXPECT_NE(first, other_stream.next());
  EXPECT_NE(first, other_seed.next());
}

TEST(Random, BelowIsUniform) {
  Random random(1, "below");
  std::vector<int> count(6, 0);
  for (int i = 0; i < 60000; ++i) ++count[random.below(6)];
  for (const int c : count) EXPECT_NEAR(c, 10000, 400);  // four standard deviations
}

TEST(Random, SampleHoldsDifferentValuesInOrder) {
  Random random(3, "sample");
  const auto sample = random.sample(100, 40);
  EXPECT_EQ(std::set<std::int64_t>(sample.begin(), sample.end()).size(), 40u);
  EXPECT_TRUE(std::is_sorted(sample.begin(), sample.end()));
  EXPECT_GE(sample.front(), 0);
  EXPECT_LT(sample.back(), 100);
  EXPECT_EQ(random.sample(5, 5), (std::vector<std::int64_t>{0, 1, 2, 3, 4}));
}

TEST(Sha256, MatchesTheStandard) {
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(Statistics, MatchWorkedExamples) {
  EXPECT_DOUBLE_EQ(mean({1, 2, 6}), 3);
  EXPECT_DOUBLE_EQ(standard_deviation({1, 2, 6}), std::sqrt(7.0));
  EXPECT_DOUBLE_EQ(standard_error({1, 2, 6}), std::sqrt(7.0 / 3));
  EXPECT_NEAR(pearson({1, 2, 3, 4}, {2, 1, 4, 3}), 0.6, 1e-12);
  EXPECT_NEAR(spearman({1, 2, 3, 400}, {20, 10, 40, 30}), 0.6, 1e-12);
  EXPECT_NEAR(spearman({1, 1, 2}, {1, 1, 5}), 1.0, 1e-12);  // ties share a rank
}

// In a process of its own: a signal while a file and a folder are half-written.
[[noreturn]] void be_killed_while_writing(const std::filesystem::path& folder) {
  clean_up_on_signals();
  const AtomicFile nested(folder / "new" / "deep" / "file");
  AtomicFile file(folder / "file");
  file.write("half");
  AtomicFolder made(folder / "made");
  write_file(made.temporary() / "inside", "text");
  ::raise(SIGTERM);
  for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
}

// What is complete, a file and a whole folder, stays and is named.
[[noreturn]] void be_killed_between_files(const std::filesystem::path& folder) {
  clean_up_on_signals();
  write_file(folder / "new" / "first", "text");
  AtomicFolder made(folder / "made");
  write_file(made.temporary() / "inside", "text");
  made.commit();
  const AtomicFile file(folder / "other" / "second");
  ::raise(SIGINT);
  for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
}

// A command that knows better how to go on, and a signal that is put off until work has ended.
[[noreturn]] void end_when_asked(bool with_line) {
  // Ignored where a shell runs the tests in the background.
  for (const int signal : {SIGHUP, SIGINT}) ::signal(signal, SIG_DFL);
  clean_up_on_signals();
  const LineWhenInterrupted line("interrupted: told before");
  const LineWhenInterrupted of_a_part("interrupted: of a part");
  const DeferredSignals signals;
  ::raise(SIGHUP);
  while (!signals.requested()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  if (with_line) end_by_deferred_signal("interrupted at step 3");
  ::raise(SIGINT);
  for (;;) std::this_thread::sleep_for(std::chrono::seconds(1));
}

TEST(Temporaries, AreRemovedBySignals) {
  GTEST_FLAG_SET(death_test_style, "fast");
  const test::TemporaryFolder folder;
  EXPECT_EXIT(be_killed_while_writing(folder.path()), ::testing::KilledBySignal(SIGTERM),
              "^interrupted: no file was written; run the command again\n$");
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(Temporaries, WhatIsCompleteIsNamed) {
  GTEST_FLAG_SET(death_test_style, "fast");
  const test::TemporaryFolder folder;
  EXPECT_EXIT(be_killed_between_files(folder.path()), ::testing::KilledBySignal(SIGINT),
              "^interrupted: [^ ]*/made, [^ ]*/new/first are complete; run the command again");
  EXPECT_TRUE(std::filesystem::exists(folder / "new" / "first"));
  EXPECT_TRUE(std::filesystem::exists(folder / "made" / "inside"));
  EXPECT_FALSE(std::filesystem::exists(folder / "other"));
}

TEST(Interruption, IsPutOffOnceAndSaysWhatItWasTold) {
  GTEST_FLAG_SET(death_test_style, "fast");
  const char* const put_off = "^will end after this step; a second signal ends at once\n";
  EXPECT_EXIT(end_when_asked(true), ::testing::KilledBySignal(SIGHUP),
              std::string(put_off) + "interrupted at step 3\n$");
  EXPECT_EXIT(end_when_asked(false), ::testing::KilledBySignal(SIGINT),
              std::string(put_off) + "interrupted: told before\n$");
}

TEST(Progress, TellsTheTimeLeft) {
  EXPECT_EQ(clock_time(65.4), "1:05");
  EXPECT_EQ(clock_time(3665), "1:01:05");
}

TEST(AtomicFile, LeavesNothingWithoutCommit) {
  const test::TemporaryFolder folder;
  {
    AtomicFile file(folder / "a.txt");
    file.write("half");
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  write_file(folder / "a.txt", "whole");
  EXPECT_EQ(read_file(folder / "a.txt"), "whole");
}

TEST(Memory, AmountsAreReadAndWritten) {
  EXPECT_EQ(parse_bytes("800M", "memory"), 800LL << 20);
  EXPECT_EQ(parse_bytes("1.5 GiB", "memory"), 3LL << 29);
  EXPECT_EQ(parse_bytes("4096", "memory"), 4096);
  EXPECT_EQ(format_bytes(3LL << 29), "1.50 GiB");
  for (const char* wrong : {"", "lots", "-1G", "5 parsecs", "1e30T", "nan", "1G x"}) {
    EXPECT_NE(test::error_of([&] { parse_bytes(wrong, "memory"); }).find("memory"),
              std::string::npos);
  }
}

TEST(TensorPool, KeepsBlocksForTensorsOfAboutTheirSize) {
  use_tensor_pool();
  at::Tensor first = at::empty({(8 << 20) - 4096}, at::kByte);
  const void* const block = first.data_ptr();
  at::Tensor small = at::zeros({100}, at::kByte);  // not the pool's
  first = at::Tensor();
#if !defined(__SANITIZE_ADDRESS__)
  EXPECT_EQ(at::empty({(8 << 20) - 9000}, at::kByte).data_ptr(), block);
#endif
  at::Tensor larger = at::ones({16 << 20}, at::kByte);
  EXPECT_NE(larger.data_ptr(), block);
  EXPECT_EQ(larger.sum().item<std::int64_t>() + small.sum().item<std::int64_t>(), 16 << 20);
}

TEST(TensorPool, GivesBackWhatWasFreed) {
  use_tensor_pool();
  for (int round = 0; round < 2; ++round) {
    give_back_freed_memory();  // of what other tests freed
    const std::int64_t before = anonymous_memory();
    at::Tensor large = at::ones({64 << 20}, at::kByte);
    const std::int64_t held = anonymous_memory();
    EXPECT_GE(held, before + (60 << 20));
    large = at::Tensor();
    give_back_freed_memory();
#if !defined(__SANITIZE_ADDRESS__)
    EXPECT_LE(anonymous_memory(), held - (60 << 20));
#endif
  }
}

TEST(Memory, PeakSeesWhatIsTouched) {
  const AnonymousPeak peak;
  const std::int64_t before = anonymous_memory();
  std::vector<char> block(64 << 20, 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  EXPECT_GT(peak.bytes(), before + (48 << 20)) << static_cast<int>(block[5]);
}

TEST(NearestText, FindsATypo) {
  EXPECT_EQ(nearest_text("--taks", {"--task", "--limit"}), "--task");
  EXPECT_EQ(nearest_text("--zzzzzz", {"--task", "--limit"}), "");
}

}  // namespace
}  // namespace taskneuron
