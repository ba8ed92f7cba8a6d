#include "model/loop_test.h"

namespace taskneuron {
namespace {

using namespace test;

class AttentionLoops : public LoopTest {};

// Two query heads that share a key head; keys of a cache (rotated already, without gradients)
// before the segment's own; more queries than a block.
template <typename T>
class AttentionCheck {
 public:
  AttentionCheck(std::size_t width, bool biased) : width_(width), biased_(biased) {}

  void run() {
    make_oracle();
    call_forward();
    call_backward();
  }

 private:
  static constexpr std::size_t kHeads = 2, kCached = 5, kOwn = 53, kPairs = 3;
  static constexpr std::size_t kKeys = kCached + kOwn;

  void make_oracle() {
    cosine_ = values_.matrix(kOwn, kPairs);
    sine_ = values_.matrix(kOwn, kPairs);
    keys_ = values_.matrix(kKeys, width_);
    key_values_ = values_.matrix(kKeys, width_);
    dkeys_ = dvalues_ = Matrix(kOwn, Row(width_));
    for (std::size_t h = 0; h < kHeads; ++h) {
      queries_.push_back(values_.matrix(kOwn, width_));
      doutput_.push_back(values_.matrix(kOwn, width_));
      if (biased_) bias_.push_back(float32(values_.matrix(kOwn, kKeys)));
      add_head(h);
    }
    for (std::size_t i = 0; i < kOwn; ++i) {
      dkeys_[i] = naive::rotated(dkeys_[i], cosine_[i], sine_[i], -1);
    }
  }

  void add_head(std::size_t h) {
    naive::Head head{queries_[h], keys_,      key_values_, biased_ ? bias_[h] : Matrix(),
                     kScale,      kCached + 1};
    for (std::size_t i = 0; i < kOwn; ++i) {
      head.q[i] = naive::rotated(head.q[i], cosine_[i], sine_[i]);
      head.k[kCached + i] = naive::rotated(head.k[kCached + i], cosine_[i], sine_[i]);
    }
    output_.push_back(naive::attention(head));
    naive::HeadGradients g = naive::attention_backward(head, doutput_[h]);
    for (std::size_t i = 0; i < kOwn; ++i) {
      g.dq[i] = naive::rotated(g.dq[i], cosine_[i], sine_[i], -1);
      for (std::size_t d = 0; d < width_; ++d) {
        dkeys_[i][d] += g.dk[kCached + i][d];
        dvalues_[i][d] += g.dv[kCached + i][d];
      }
    }
    dqueries_.push_back(g.dq);
  }

  // Biases are float32 whatever the model computes in.
  static Matrix float32(Matrix matrix) {
    for (Row& row : matrix) {
      for (double& value : row) value = static_cast<float>(value);
    }
    return matrix;
  }

  // [head][row][d] as rows of all heads.
  static Row by_row(const std::vector<Matrix>& heads) {
    Row all;
    for (std::size_t i = 0; i < heads.front().size(); ++i) {
      for (const Matrix& head : heads) all.insert(all.end(), head[i].begin(), head[i].end());
    }
    return all;
  }

  void call_forward() {
    const auto width = static_cast<std::int64_t>(width_);
    q_in_ = values_.typed(by_row(queries_));
    k_in_ = values_.typed(keys_);
    v_in_ = values_.typed(key_values_);
    cosine_in_ = values_.typed(cosine_);
    sine_in_ = values_.typed(sine_);
    for (const Matrix& head : bias_) {
      for (const double value : flat(head)) bias_in_.push_back(static_cast<float>(value));
    }
    for (kernels::KeyRun<T>& run : runs_) {
      run.key_row = run.value_row = width;
      run.keys = k_in_.data();
      run.values = v_in_.data();
      run.rows = kCached;
    }
    runs_[1].keys += kCached * width_;
    runs_[1].values += kCached * width_;
    runs_[1].rows = kOwn;
    runs_[1].rotation = {kPairs, cosine_in_.data(), sine_in_.data()};
    runs_[1].accumulator_row = 0;
    scratch_.resize(static_cast<std::size_t>(kernels::attention_scratch(kKeys, width)));
    output_out_.resize(q_in_.size());
    log_sums_.resize(kHeads * kOwn);
    a_.head_dim = a_.q_head = a_.output_head = width;
    a_.group = kHeads;
    a_.scale = kScale;
    a_.queries = a_.log_sum_head = kOwn;
    a_.visible = kCached + 1;
    a_.q = q_in_.data();
    a_.q_row = a_.output_row = kHeads * width;
    a_.rotation = runs_[1].rotation;
    a_.runs = runs_;
    a_.run_count = 2;
    a_.bias = biased_ ? bias_in_.data() : nullptr;
    a_.bias_row = kKeys;
    a_.bias_head = kOwn * kKeys;
    a_.output = output_out_.data();
    a_.log_sum = log_sums_.data();
    a_.scratch = scratch_.data();
    kernels::table<T>().attention(a_);
    expect_close(output_out_, by_row(output_), kTolerance<T>, "output");
  }

  void call_backward() {
    const auto sums = kOwn * static_cast<std::size_t>(kernels::padded(a_.head_dim));
    std::vector<Accumulator<T>> dk(sums), dv(sums);
    const std::vector<T> doutput = values_.typed(by_row(doutput_));
    std::vector<T> dq(q_in_.size()), dkeys(kOwn * width_), dvalues(kOwn * width_);
    a_.doutput = doutput.data();
    a_.dq = dq.data();
    a_.dkeys = dk.data();
    a_.dvalues = dv.data();
    kernels::table<T>().attention_backward(a_);
    kernels::KeyGradients<T> g;
    g.head_dim = g.key_row = g.value_row = a_.head_dim;
    g.rows = kOwn;
    g.dkeys_sum = dk.data();
    g.dvalues_sum = dv.data();
    g.rotation = a_.rotation;
    g.dkeys = dkeys.data();
    g.dvalues = dvalues.data();
    kernels::table<T>().key_gradients(g);
    expect_close(dq, by_row(dqueries_), 2 * kTolerance<T>, "dq");
    expect_close(dkeys, flat(dkeys_), 2 * kTolerance<T>, "dkeys");
    expect_close(dvalues, flat(dvalues_), 2 * kTolerance<T>, "dvalues");
  }

  static constexpr double kScale = 0.3;
  std::size_t width_;
  bool biased_;
  Values<T> values_;
  Matrix cosine_, sine_, keys_, key_values_, dkeys_, dvalues_;
  std::vector<Matrix> queries_, doutput_, bias_, output_, dqueries_;  // by head
  std::vector<T> q_in_, k_in_, v_in_, cosine_in_, sine_in_, output_out_;
  std::vector<float> bias_in_;
  std::vector<Accumulator<T>> scratch_, log_sums_;
  kernels::KeyRun<T> runs_[2];
  kernels::Attention<T> a_;
};

TEST_P(AttentionLoops, Attention) {
  in_every_type([](auto zero) {
    for (const std::size_t width : {8, 20, 64}) {
      SCOPED_TRACE(width);
      AttentionCheck<decltype(zero)>(width, false).run();
      AttentionCheck<decltype(zero)>(width, true).run();
    }
  });
}

INSTANTIATE_TEST_SUITE_P(InstructionSets, AttentionLoops, instruction_sets(),
                         [](const auto& tested) { return std::string(tested.param); });

}  // namespace
}  // namespace taskneuron
