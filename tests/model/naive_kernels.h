#pragma once

#include <cstdint>
#include <vector>

// What the loops of src/model/kernels compute, as the formulas say it: float64, one value at a
// time, nothing fused. Slow, and the oracle of their tests.
namespace taskneuron::naive {

using Row = std::vector<double>;
using Matrix = std::vector<Row>;  // rows of one width

enum class Center { kMean, kNone };  // layer norm, rms norm

struct Norm {
  Row normalized;
  double mean = 0;
  double inverse = 0;
};
// s [width]: y = (s − μ) · r · w + b with r = 1 / √(mean (s − μ)² + ε); b may be empty.
Norm norm(const Row& s, const Row& w, const Row& b, Center center, double epsilon);
// dloss/ds where dy = dloss/dy, from the derivative of every y_j by every s_i.
Row norm_backward(const Row& s, const Row& w, const Row& dy, Center center, double epsilon);

enum class Function { kGelu, kGeluTanh, kRelu, kSilu };
double apply(Function f, double x);
double derivative(Function f, double x);

struct CrossEntropy {
  Row nll;      // by target
  Row dlogits;  // of Σ weight · nll
};
CrossEntropy cross_entropy(const Row& logits, const std::vector<std::int64_t>& tokens,
                           const Row& weights);

// Element i turned with element pairs + i by the angles of the row's cosines and sines; sign −1
// turns back.
Row rotated(const Row& x, const Row& cosine, const Row& sine, double sign = 1);

// One head: q [queries, d], k and v [keys, d], bias [queries, keys]. Query i sees the first
// visible + i keys.
struct Head {
  Matrix q, k, v, bias;
  double scale = 1;
  std::int64_t visible = 0;
};
struct HeadGradients {
  Matrix dq, dk, dv;
};
// softmax(scale · q kᵀ + bias), zero where a query does not see.
Matrix probabilities(const Head& head);
Matrix attention(const Head& head);
HeadGradients attention_backward(const Head& head, const Matrix& doutput);

}  // namespace taskneuron::naive
