#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "taskneuron/base/inference.h"
#include "taskneuron/base/random.h"

namespace taskneuron::statistics {

// A seeded source of what the populations need.
class Draws {
 public:
  Draws(std::uint64_t seed, const std::string& stream) : random_(seed, stream) {}

  double normal() {  // Marsaglia & Bray 1964: they come in pairs
    if (kept_) return std::exchange(kept_, std::nullopt).value();
    double x = 0, y = 0, square = 0;
    do {
      x = 2 * random_.uniform() - 1;
      y = 2 * random_.uniform() - 1;
      square = x * x + y * y;
    } while (square >= 1 || square == 0);
    const double scale = std::sqrt(-2 * std::log(square) / square);
    kept_ = y * scale;
    return x * scale;
  }
  // Mean 0, deviation 1, skewness 2/√shape: a gamma variable of whole shape, standardised.
  double skewed(int shape) {
    double sum = 0;
    for (int i = 0; i < shape; ++i) sum -= std::log(1 - random_.uniform());
    return (sum - shape) / std::sqrt(static_cast<double>(shape));
  }
  std::size_t below(std::size_t bound) { return random_.below(bound); }

 private:
  Random random_;
  std::optional<double> kept_;
};

// Scores of examples under sets of units.
// A latent number z = center + example + set + example × set (+ seed) becomes a score.
struct Population {
  enum class Kind {
    kAccuracy,  // z > 0
    kRouge,     // z cut to [0, 1]: bounded, a third zeros
    kLoss,      // exp(z): skewed, with a long tail
  };
  Kind kind;
  std::string name;
  double center;
  double example, set, both;  // standard deviations of the latent parts
  int set_shape;              // of the sets' gamma distribution: the fewer, the more skewed
  double set_sign;            // towards which side its long tail points
  double seed = 0;            // deviation between trainings of one set

  double score(double z) const {
    if (kind == Kind::kAccuracy) return z > 0 ? 1 : 0;
    return kind == Kind::kRouge ? std::clamp(z, 0.0, 1.0) : std::exp(z);
  }
  double draw_set(Draws& draws) const { return set_sign * set * draws.skewed(set_shape); }

  // Expected score over examples (and seeds) of a set that moves z by `shift`.
  double expected(double shift) const {
    const double m = center + shift, s = std::sqrt(example * example + both * both + seed * seed);
    const auto above = [](double x) { return 0.5 * std::erfc(x / std::sqrt(2.0)); };
    const auto density = [](double x) {
      return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
    };
    if (kind == Kind::kAccuracy) return above(-m / s);
    if (kind == Kind::kLoss) return std::exp(m + s * s / 2);
    const double low = -m / s, high = (1 - m) / s;
    return m * (above(low) - above(high)) + s * (density(low) - density(high)) + above(high);
  }
  // Expected score over random sets as well: the gamma distribution integrated numerically.
  double expected_random() const {
    double weights = 0, sum = 0;
    constexpr int kSteps = 20000;
    const double reach = set_shape + 20 * std::sqrt(static_cast<double>(set_shape)) + 20;
    for (int i = 0; i < kSteps; ++i) {
      const double x = (i + 0.5) * reach / kSteps;
      const double weight = std::exp((set_shape - 1) * std::log(x) - x);
      const double place = (x - set_shape) / std::sqrt(static_cast<double>(set_shape));
      weights += weight;
      sum += weight * expected(set_sign * set * place);
    }
    return sum / weights;
  }

  // Scores under m random sets and an own one that moves z by `shift`, over `seeds` trainings each.
  SetScores sample(std::size_t sets, std::size_t examples, double shift, Draws& draws,
                   std::size_t seeds = 1) const {
    std::vector<double> easy(examples);
    for (double& value : easy) value = center + example * draws.normal();
    const auto scores = [&](double moved) {
      std::vector<std::vector<double>> by_seed;
      std::vector<double> alone(examples);  // what set and example have together
      for (double& value : alone) value = both * draws.normal();
      for (std::size_t r = 0; r < seeds; ++r) {
        const double training = seeds > 1 ? seed * draws.normal() : 0;
        std::vector<double>& row = by_seed.emplace_back(examples);
        for (std::size_t e = 0; e < examples; ++e) {
          row[e] = score(easy[e] + moved + alone[e] + training);
        }
      }
      return by_seed;
    };
    const auto own = scores(shift);
    std::vector<std::vector<std::vector<double>>> random;
    for (std::size_t k = 0; k < sets; ++k) random.push_back(scores(draw_set(draws)));
    return over_seeds(own, random);
  }
};

// Deviations between sets come out at 0.06 of accuracy, 0.02 of ROUGE-L and 0.3 nats; what they are
// modelled on stands in docs/statistics.md.
inline std::vector<Population> populations() {
  using Kind = Population::Kind;
  return {{Kind::kAccuracy, "accuracy", 0.1, 0.7, 0.15, 0.7, 8, -1},
          {Kind::kRouge, "ROUGE-L", 0.05, 0.06, 0.035, 0.12, 8, 1},
          {Kind::kLoss, "loss", 0.5, 0.4, 0.15, 0.2, 4, 1}};
}

}  // namespace taskneuron::statistics
