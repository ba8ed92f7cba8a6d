// A few hundred simulations of what docs/statistics.md simulates thousands of times, with bounds
// that many standard errors wide: for bugs, not for the second digit.
#include "statistics/simulation.h"
#include "statistics/trainings_simulation.h"
#include "support/support.h"

namespace taskneuron::statistics {
namespace {

constexpr std::size_t kFew = 400;

TEST(Simulation, TestsRejectATrueNullAsOftenAsTheySay) {
  for (const Population& population : populations()) {
    for (const auto& [test, share] : null_own_against_random(population, {30, 19}, kFew)) {
      EXPECT_NEAR(share, kAlpha, 0.045) << population.name << ", " << test;
    }
    for (const auto& [test, share] : null_own_against_random(population, {30, 19, 4}, kFew, 999)) {
      EXPECT_NEAR(share, kAlpha, 0.045) << population.name << " over tasks, " << test;
    }
  }
}

TEST(Simulation, IntervalsCoverWhatTheySay) {
  for (const Population& population : populations()) {
    for (const double shift : {0.0, effect_of(population)}) {
      EXPECT_NEAR(coverage(population, {30, 19}, shift, kFew), 0.95, 0.045) << population.name;
    }
    const PairedRates paired = paired_rates(population, {30}, effect_of(population), kFew);
    EXPECT_NEAR(paired.rejected, kAlpha, 0.045) << population.name;
    EXPECT_NEAR(paired.covered, 0.95, 0.045) << population.name;
  }
}

TEST(Simulation, TypeBlocksAloneAreNotSpecific) {
  EXPECT_NEAR(null_diagonal(4, Permuted::kWithinType, kFew, 576), kAlpha, 0.045);
  // What permuting over all types would say of the same matrices.
  EXPECT_GT(null_diagonal(4, Permuted::kOverAll, kFew, 500), 0.2);
}

TEST(Simulation, TrainingsAreToldApartNoOftenerThanTheySay) {
  for (Population population : populations()) {
    population.seed = population.set / 2;
    const SweepRates rates = sweep_rates(population, {9, 3, 2, 20}, kFew / 2);
    EXPECT_NEAR(rates.covered, 0.955, 0.03) << population.name;
    EXPECT_LT(rates.rejected, 0.12) << population.name;
    EXPECT_LT(rates.told, 0.12) << population.name;
  }
}

}  // namespace
}  // namespace taskneuron::statistics
