#include "model/naive_kernels.h"

#include <cmath>
#include <cstddef>

namespace taskneuron::naive {

namespace {

double dot(const Row& a, const Row& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

Matrix zeros_like(const Matrix& a) { return Matrix(a.size(), Row(a.front().size())); }

}  // namespace

Norm norm(const Row& s, const Row& w, const Row& b, Center center, double epsilon) {
  const auto width = static_cast<double>(s.size());
  Norm result;
  if (center == Center::kMean) {
    for (const double value : s) result.mean += value / width;
  }
  double variance = 0;
  for (const double value : s) {
    variance += (value - result.mean) * (value - result.mean) / width;
  }
  result.inverse = 1 / std::sqrt(variance + epsilon);
  for (std::size_t i = 0; i < s.size(); ++i) {
    const double y = (s[i] - result.mean) * result.inverse * w[i];
    result.normalized.push_back(b.empty() ? y : y + b[i]);
  }
  return result;
}

// y_j = n_j w_j + b_j with n_j = (s_j − μ) r, dμ/ds_i = 1/width (0 for rms) and
// dr/ds_i = −r³ (s_i − μ) / width.
Row norm_backward(const Row& s, const Row& w, const Row& dy, Center center, double epsilon) {
  const auto width = static_cast<double>(s.size());
  const Norm forward = norm(s, w, {}, center, epsilon);
  const double r = forward.inverse, dmean = center == Center::kMean ? 1 / width : 0;
  Row ds(s.size());
  for (std::size_t i = 0; i < s.size(); ++i) {
    const double dr = -r * r * r * (s[i] - forward.mean) / width;
    for (std::size_t j = 0; j < s.size(); ++j) {
      const double dcentred = (i == j ? 1.0 : 0.0) - dmean;
      ds[i] += dy[j] * w[j] * (dcentred * r + (s[j] - forward.mean) * dr);
    }
  }
  return ds;
}

double apply(Function f, double x) {
  switch (f) {
    case Function::kGelu: return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
    case Function::kGeluTanh:
      return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case Function::kRelu: return x > 0 ? x : 0;
    case Function::kSilu: break;
  }
  return x / (1 + std::exp(-x));
}

double derivative(Function f, double x) {
  switch (f) {
    case Function::kGelu:
      return 0.5 * (1 + std::erf(x / std::sqrt(2.0))) +
             x * std::exp(-x * x / 2) / std::sqrt(2 * M_PI);
    case Function::kGeluTanh: {
      const double root = std::sqrt(2 / M_PI);
      const double t = std::tanh(root * (x + 0.044715 * x * x * x));
      return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * root * (1 + 3 * 0.044715 * x * x);
    }
    case Function::kRelu: return x > 0 ? 1 : 0;
    case Function::kSilu: break;
  }
  const double sigmoid = 1 / (1 + std::exp(-x));
  return sigmoid + x * sigmoid * (1 - sigmoid);
}

CrossEntropy cross_entropy(const Row& logits, const std::vector<std::int64_t>& tokens,
                           const Row& weights) {
  double sum = 0;
  for (const double z : logits) sum += std::exp(z);
  CrossEntropy result;
  result.dlogits.resize(logits.size());
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    const auto target = static_cast<std::size_t>(tokens[t]);
    result.nll.push_back(std::log(sum) - logits[target]);
    for (std::size_t v = 0; v < logits.size(); ++v) {
      result.dlogits[v] += weights[t] * (std::exp(logits[v]) / sum - (v == target ? 1 : 0));
    }
  }
  return result;
}

Row rotated(const Row& x, const Row& cosine, const Row& sine, double sign) {
  Row y = x;
  const std::size_t pairs = cosine.size();
  for (std::size_t i = 0; i < pairs; ++i) {
    y[i] = x[i] * cosine[i] - sign * x[pairs + i] * sine[i];
    y[pairs + i] = x[pairs + i] * cosine[i] + sign * x[i] * sine[i];
  }
  return y;
}

Matrix probabilities(const Head& head) {
  Matrix p(head.q.size(), Row(head.k.size()));
  for (std::size_t i = 0; i < p.size(); ++i) {
    const std::size_t seen = static_cast<std::size_t>(head.visible) + i;
    double sum = 0;
    for (std::size_t k = 0; k < p[i].size() && k < seen; ++k) {
      const double bias = head.bias.empty() ? 0 : head.bias[i][k];
      p[i][k] = std::exp(head.scale * dot(head.q[i], head.k[k]) + bias);
      sum += p[i][k];
    }
    for (double& value : p[i]) value /= sum;
  }
  return p;
}

Matrix attention(const Head& head) {
  const Matrix p = probabilities(head);
  Matrix output(head.q.size(), Row(head.v.front().size()));
  for (std::size_t i = 0; i < output.size(); ++i) {
    for (std::size_t k = 0; k < head.k.size(); ++k) {
      for (std::size_t d = 0; d < output[i].size(); ++d) output[i][d] += p[i][k] * head.v[k][d];
    }
  }
  return output;
}

HeadGradients attention_backward(const Head& head, const Matrix& doutput) {
  const Matrix p = probabilities(head);
  HeadGradients g{zeros_like(head.q), zeros_like(head.k), zeros_like(head.v)};
  for (std::size_t i = 0; i < head.q.size(); ++i) {
    Row dp(head.k.size());
    for (std::size_t k = 0; k < dp.size(); ++k) dp[k] = dot(doutput[i], head.v[k]);
    const double mean = dot(p[i], dp);
    for (std::size_t k = 0; k < dp.size(); ++k) {
      const double dscore = p[i][k] * (dp[k] - mean);
      for (std::size_t d = 0; d < head.q[i].size(); ++d) {
        g.dq[i][d] += head.scale * dscore * head.k[k][d];
        g.dk[k][d] += head.scale * dscore * head.q[i][d];
        g.dv[k][d] += p[i][k] * doutput[i][d];
      }
    }
  }
  return g;
}

}  // namespace taskneuron::naive
