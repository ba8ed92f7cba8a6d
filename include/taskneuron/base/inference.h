#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace taskneuron {

// Is a task's own set of units more than a random one? (docs/method.md, "Is it more than chance?",
// derives what is computed here.)

constexpr std::int64_t kDraws = 10000;
constexpr double kAlpha = 0.05;  // of every test and interval
constexpr double kPower = 0.8;   // of the smallest difference that counts as detectable
// Random sets at which the randomisation p of one task can reach kAlpha.
constexpr std::int64_t kSetsForAlpha = 19;

// Scores of one task's examples with its own set and with each of m random ones.
struct SetScores {
  std::vector<double> own;                  // [examples]
  std::vector<std::vector<double>> random;  // [m][examples]
  // Where scores are means over training seeds: the variance of the own set's mean, and its degrees
  // of freedom. (That of the random sets is part of their spread.)
  double seed_variance = 0;
  double seed_df = 0;
};

// Each example's mean over seeds: scores[seed][example]. REQUIRES a seed, the same examples in all.
std::vector<double> mean_over_seeds(const std::vector<std::vector<double>>& scores);

// The same for what was trained from several seeds: own[seed][example], random[m][seed][example].
// Scores become means over seeds; of a single seed nothing is known of how trainings differ, and
// the interval is that of this training. REQUIRES as many seeds of the own set as of each random
// one: only then is the own mean one more draw.
SetScores over_seeds(const std::vector<std::vector<double>>& own,
                     const std::vector<std::vector<std::vector<double>>>& random);

struct TTest {
  double t = 0;
  double df = 0;
  double p = 1;  // two-sided
};

struct Interval {  // 95%
  double low = 0;
  double high = 0;
};

// A test over orders of what the null hypothesis makes exchangeable: which of the m + 1 sets is the
// own one, within every task; which row of a cross matrix is a task's own (diagonal_test.h).
struct Randomisation {
  std::optional<double> p;  // nothing where it could not be below 1/2
  double smallest_p = 1;    // that so many orders can show
  std::int64_t orders = 0;  // that were tried
  bool exact = false;       // they are all there are
};

// A mean difference: over examples, and over tasks where there are several.
struct Contrast {
  double difference = 0;
  std::int64_t tasks = 0;
  std::int64_t examples = 0;  // of all tasks
  std::int64_t sets = 0;      // random ones per task; 0 for a contrast of two models
  std::optional<TTest> test;
  std::string no_test;  // why there is none
  std::optional<Interval> interval;
  std::string no_interval;
  std::optional<Randomisation> randomisation;  // two-sided; against random sets only
  std::optional<double> detectable;  // the smallest difference that the t test sees (kPower)
  std::optional<double> p_adjusted;  // Benjamini-Hochberg, in the family that the caller formed

  // By which the contrast is judged: over several tasks against random sets the randomisation's,
  // else the t test's.
  std::optional<double> p() const;
};

// Own minus the mean of random sets; over tasks, the mean of that. The test asks whether the own
// set is a draw from where the random ones come from; the interval is of the difference from their
// mean, and takes examples and sets as drawn. REQUIRES at least one task, each with an example and
// a set.
Contrast own_minus_random(const std::vector<SetScores>& tasks, std::uint64_t seed,
                          std::int64_t draws = kDraws);

// Mean of paired differences, one list per task: paired t test and interval over examples; over
// tasks, examples are drawn within each. REQUIRES at least one task, each with an example.
Contrast paired_difference(const std::vector<std::vector<double>>& tasks);

// p values that hold for a whole family (Benjamini & Hochberg 1995), in the order given.
std::vector<double> benjamini_hochberg(const std::vector<double>& p);
// p values by which the chance of any false finding in the family is held (Holm 1979), likewise.
std::vector<double> holm(const std::vector<double>& p);
// Fills p_adjusted of a family's contrasts; those without a p are no part of it.
void adjust(const std::vector<Contrast*>& family);

enum class Verdict { kAgrees, kDoesNot, kUndetermined };
enum class Claim { kLower, kHigher };  // what is claimed of the difference

const char* verdict_name(Verdict verdict);
// Agrees: significant (corrected p where there is one), and the whole interval in the claimed
// direction: the test speaks of these examples, the interval of all. Does not: the interval leaves
// out every difference in the claimed direction as large as `matters`. Undetermined: neither.
Verdict judge(const Contrast& contrast, Claim claim, double matters = 0);

}  // namespace taskneuron
