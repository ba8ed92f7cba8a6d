#include "model/loop_test.h"

namespace taskneuron {
namespace {

using namespace test;

class RowLoops : public LoopTest {};

// Widths around whole vectors.
constexpr std::size_t kWidths[] = {2, 7, 16, 40, 129};

template <typename T>
void check_norm(std::size_t width, naive::Center center) {
  constexpr std::size_t kRows = 3;
  Values<T> values;
  const Matrix x = values.matrix(kRows, width), addend = values.matrix(kRows, width);
  const Matrix dy = values.matrix(kRows, width), dsum = values.matrix(kRows, width);
  const Row w = values.row(width);
  const bool rms = center == naive::Center::kNone;
  const Row b = rms ? Row() : values.row(width);
  Matrix s = x, y, ds;
  for (std::size_t r = 0; r < kRows; ++r) {
    for (std::size_t i = 0; i < width; ++i) {
      s[r][i] = to_double(from_double<T>(x[r][i] + addend[r][i]));
    }
    y.push_back(naive::norm(s[r], w, b, center, 1e-5).normalized);
    ds.push_back(naive::norm_backward(s[r], w, dy[r], center, 1e-5));
    for (std::size_t i = 0; i < width; ++i) ds[r][i] += dsum[r][i];
  }
  const std::vector<T> x_in = values.typed(x), addend_in = values.typed(addend);
  const std::vector<T> w_in = values.typed(w), b_in = values.typed(b);
  std::vector<T> sum(kRows * width), normalized(kRows * width), dx(kRows * width);
  std::vector<Accumulator<T>> mean(kRows), inverse(kRows);
  kernels::Norm<T> norm;
  norm.width = static_cast<std::int64_t>(width);
  norm.x = x_in.data();
  norm.addend = addend_in.data();
  norm.weight = w_in.data();
  norm.bias = rms ? nullptr : b_in.data();
  norm.rms = rms;
  norm.epsilon = 1e-5;
  norm.sum = sum.data();
  norm.normalized = normalized.data();
  norm.mean = mean.data();
  norm.inverse = inverse.data();
  kernels::table<T>().norm(norm, 0, kRows);
  expect_close(sum, flat(s), 0, "sum");
  expect_close(normalized, flat(y), 20 * kTolerance<T>, "normalized");

  const std::vector<T> dy_in = values.typed(dy), dsum_in = values.typed(dsum);
  kernels::NormBackward<T> backward;
  backward.width = norm.width;
  backward.sum = sum.data();
  backward.weight = w_in.data();
  backward.mean = rms ? nullptr : mean.data();
  backward.inverse = inverse.data();
  backward.dsum = dsum_in.data();
  backward.dnormalized = dy_in.data();
  backward.dx = dx.data();
  kernels::table<T>().norm_backward(backward, 0, kRows);
  expect_close(dx, flat(ds), 20 * kTolerance<T>, "dx");
}

TEST_P(RowLoops, Norms) {
  in_every_type([](auto zero) {
    for (const std::size_t width : kWidths) {
      SCOPED_TRACE(width);
      check_norm<decltype(zero)>(width, naive::Center::kMean);
      check_norm<decltype(zero)>(width, naive::Center::kNone);
    }
  });
}

struct ActivationCase {
  kernels::Function function;
  naive::Function formula;
  bool gated;
};

template <typename T>
void check_activation(std::size_t width, const ActivationCase& tested) {
  constexpr std::size_t kRows = 4;
  Values<T> values;
  const Matrix up = values.matrix(kRows, width), gate = values.matrix(kRows, width);
  const Matrix gradient = values.matrix(kRows, width);
  const Row scale = values.row(width);
  Matrix value = up, dup = up, dgate = up;
  Row sum(width), magnitude(width);
  for (std::size_t r = 0; r < kRows; ++r) {
    for (std::size_t i = 0; i < width; ++i) {
      const double x = tested.gated ? gate[r][i] : up[r][i];
      const double factor = (tested.gated ? up[r][i] : 1) * scale[i];
      const double f = naive::apply(tested.formula, x);
      const double slope = naive::derivative(tested.formula, x);
      value[r][i] = f * factor;
      dup[r][i] = gradient[r][i] * scale[i] * (tested.gated ? f : slope);
      dgate[r][i] = gradient[r][i] * factor * slope;
      sum[i] += value[r][i] * gradient[r][i];
      magnitude[i] += std::abs(value[r][i] * gradient[r][i]);
    }
  }
  const std::vector<T> up_in = values.typed(up), gate_in = values.typed(gate);
  const std::vector<T> gradient_in = values.typed(gradient), scale_in = values.typed(scale);
  std::vector<T> value_out(kRows * width), dup_out(kRows * width), dgate_out(kRows * width);
  std::vector<float> sum_out(width), magnitude_out(width);
  kernels::Activation<T> a;
  a.width = static_cast<std::int64_t>(width);
  a.function = tested.function;
  a.up = up_in.data();
  a.gate = tested.gated ? gate_in.data() : nullptr;
  a.scale = scale_in.data();
  a.value = value_out.data();
  kernels::table<T>().activation(a, 0, kRows);
  expect_close(value_out, flat(value), kTolerance<T>, "value");

  std::fill(value_out.begin(), value_out.end(), T{});
  a.gradient = gradient_in.data();
  a.dup = dup_out.data();
  a.dgate = tested.gated ? dgate_out.data() : nullptr;
  a.sum = sum_out.data();
  a.magnitude = magnitude_out.data();
  kernels::table<T>().activation_backward(a, 0, kRows);
  expect_close(value_out, flat(value), kTolerance<T>, "value in backward");
  expect_close(dup_out, flat(dup), kTolerance<T>, "dup");
  if (tested.gated) expect_close(dgate_out, flat(dgate), kTolerance<T>, "dgate");
  // These are float32 whatever the model computes in.
  const double tolerance = std::max(kTolerance<T>, kTolerance<float>);
  expect_close(sum_out, sum, 5 * tolerance, "sum");
  expect_close(magnitude_out, magnitude, tolerance, "magnitude");
}

TEST_P(RowLoops, Activations) {
  const std::pair<kernels::Function, naive::Function> functions[] = {
      {kernels::Function::kGelu, naive::Function::kGelu},
      {kernels::Function::kGeluTanh, naive::Function::kGeluTanh},
      {kernels::Function::kRelu, naive::Function::kRelu},
      {kernels::Function::kSilu, naive::Function::kSilu}};
  in_every_type([&](auto zero) {
    for (const std::size_t width : kWidths) {
      for (const auto& [function, formula] : functions) {
        SCOPED_TRACE(static_cast<int>(function));
        check_activation<decltype(zero)>(width, {function, formula, false});
        check_activation<decltype(zero)>(width, {function, formula, true});
      }
    }
  });
}

template <typename T>
void check_column_sums(std::size_t width) {
  constexpr std::size_t kRows = 9, kBegin = 2, kEnd = 8;
  Values<T> values;
  const Matrix activation = values.matrix(kRows, width), gradient = values.matrix(kRows, width);
  Row sum(width, 0.5), magnitude(width, 0.25);
  for (std::size_t r = kBegin; r < kEnd; ++r) {
    for (std::size_t i = 0; i < width; ++i) {
      sum[i] += activation[r][i] * gradient[r][i];
      magnitude[i] += std::abs(activation[r][i] * gradient[r][i]);
    }
  }
  const std::vector<T> activation_in = values.typed(activation);
  const std::vector<T> gradient_in = values.typed(gradient);
  std::vector<float> sum_out(width, 0.5f), magnitude_out(width, 0.25f);
  kernels::ColumnSums<T> c;
  c.width = static_cast<std::int64_t>(width);
  c.gradient = gradient_in.data();
  c.activation = activation_in.data();
  c.sum = sum_out.data();
  c.magnitude = magnitude_out.data();
  kernels::table<T>().column_sums(c, kBegin, kEnd);
  expect_close(sum_out, sum, kTolerance<float>, "sum");
  expect_close(magnitude_out, magnitude, kTolerance<float>, "magnitude");
}

TEST_P(RowLoops, ColumnSums) {
  in_every_type([](auto zero) {
    for (const std::size_t width : kWidths) check_column_sums<decltype(zero)>(width);
  });
}

template <typename T>
void check_cross_entropy(std::size_t vocabulary) {
  Values<T> values;
  const Row logits = values.row(vocabulary);
  const std::vector<std::int64_t> tokens = {1, 0, 1};  // a token that is a target twice
  const Row weights = {0.5, 0.25, 2};
  const naive::CrossEntropy expected = naive::cross_entropy(logits, tokens, weights);
  std::vector<T> row = values.typed(logits);
  const std::vector<Accumulator<T>> weights_in(weights.begin(), weights.end());
  std::vector<Accumulator<T>> nll(tokens.size());
  kernels::CrossEntropy<T> c;
  c.vocabulary = static_cast<std::int64_t>(vocabulary);
  c.logits = row.data();
  c.differentiate = true;
  c.targets = static_cast<std::int64_t>(tokens.size());
  c.tokens = tokens.data();
  c.weights = weights_in.data();
  c.nll = nll.data();
  kernels::table<T>().cross_entropy(c);
  expect_close(nll, expected.nll, std::is_same_v<T, double> ? 1e-12 : 5e-6, "nll");
  expect_close(row, expected.dlogits, kTolerance<T>, "dlogits");
}

TEST_P(RowLoops, CrossEntropy) {
  in_every_type([](auto zero) {
    for (const std::size_t vocabulary : kWidths) check_cross_entropy<decltype(zero)>(vocabulary);
  });
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, RowLoops, instruction_sets(),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace taskneuron
