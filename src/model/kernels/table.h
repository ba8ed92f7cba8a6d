#pragma once

#include <cstdint>

// The loops of the CPU path that LibTorch would run as several passes over memory: norms, gated
// activations, relevance sums, attention, cross-entropy. loops.cpp is compiled once per instruction
// set and the table of the best one that this processor has is chosen at run time. The loops know
// nothing of tensors or threads: they run over the rows that they are given.
namespace taskneuron::kernels {

// Bits of a bfloat16, as LibTorch stores it.
struct Bfloat16 {
  std::uint16_t bits;
};

// What sums over values of type T are formed in.
template <typename T>
struct AccumulatorOf {
  using Type = float;
};
template <>
struct AccumulatorOf<double> {
  using Type = double;
};
template <typename T>
using Accumulator = typename AccumulatorOf<T>::Type;

// Rows of a matrix are `width` values apart in every norm argument.
template <typename T>
struct Norm {
  std::int64_t width = 0;
  const T* x = nullptr;
  const T* addend = nullptr;  // or null
  const T* weight = nullptr;
  const T* bias = nullptr;  // or null
  bool rms = false;         // no centering, and the normalized value is rounded before `weight`
  double epsilon = 0;
  T* sum = nullptr;                   // x + addend; or null
  T* normalized = nullptr;            // of sum
  Accumulator<T>* mean = nullptr;     // [rows]; untouched for rms
  Accumulator<T>* inverse = nullptr;  // [rows], 1 / sd or 1 / rms
};

template <typename T>
struct NormBackward {
  std::int64_t width = 0;
  const T* sum = nullptr;  // what was normalized
  const T* weight = nullptr;
  const Accumulator<T>* mean = nullptr;  // null for rms
  const Accumulator<T>* inverse = nullptr;
  const T* dsum = nullptr;  // gradient that reaches sum directly; or null
  const T* dnormalized = nullptr;
  T* dx = nullptr;
};

enum class Function { kGelu, kGeluTanh, kRelu, kSilu };

// f(gate) · up · scale, or f(up) · scale without a gate. Rows are `width` values apart.
template <typename T>
struct Activation {
  std::int64_t width = 0;
  Function function = Function::kGelu;
  const T* up = nullptr;
  const T* gate = nullptr;      // or null
  const T* scale = nullptr;     // [width] or null
  T* value = nullptr;           // in backward: or null
  const T* gradient = nullptr;  // the rest for backward
  T* dup = nullptr;
  T* dgate = nullptr;  // null without a gate
  // Backward: Σ over rows of value · gradient, and of its magnitude, are added to these; or null.
  float* sum = nullptr;  // [width]
  float* magnitude = nullptr;
};

// Column sums over rows [begin, end) of gradient · activation (of gradient alone where activation
// is null) and of its magnitude, in float32 and row order.
template <typename T>
struct ColumnSums {
  std::int64_t width = 0;
  const T* gradient = nullptr;
  const T* activation = nullptr;
  float* sum = nullptr;        // [width]
  float* magnitude = nullptr;  // [width]
};

// Angles of rotary positions, by row: element i is turned with element pairs + i, or element 2i
// with 2i + 1 where the two are neighbours. None are turned where cosine is null.
template <typename T>
struct Rotation {
  std::int64_t pairs = 0;
  const T* cosine = nullptr;  // [rows, pairs]
  const T* sine = nullptr;
  bool neighbours = false;
};

// Consecutive keys with their values. Head h of row r starts at keys + r·row + h·head.
template <typename T>
struct KeyRun {
  const T* keys = nullptr;
  const T* values = nullptr;
  std::int64_t rows = 0;
  std::int64_t key_row = 0, key_head = 0;
  std::int64_t value_row = 0, value_head = 0;
  Rotation<T> rotation;               // when the keys are still to be rotated
  std::int64_t accumulator_row = -1;  // where the gradient of its first row goes; -1: nowhere
};

// One segment and the query heads that share one key head. Strides in values.
template <typename T>
struct Attention {
  std::int64_t head_dim = 0;
  std::int64_t key_head = 0;
  std::int64_t group = 1;  // query heads key_head·group ...
  double scale = 1;
  double softcap = 0;  // scores s become softcap · tanh(s / softcap); 0: they stay as they are
  std::int64_t queries = 0;
  std::int64_t visible = 0;  // keys that the first query may see; each next one sees one more
  const T* q = nullptr;      // first query, head 0
  // Between rows, between the heads of a group, and between groups.
  std::int64_t q_row = 0, q_head = 0, q_group = 0;
  Rotation<T> rotation;  // when the queries are still to be rotated
  const KeyRun<T>* runs = nullptr;
  std::int64_t run_count = 0;
  const float* bias = nullptr;  // of the first query, head 0: [.., keys]; or null
  std::int64_t bias_row = 0, bias_head = 0;
  T* output = nullptr;  // first query, head 0
  std::int64_t output_row = 0, output_head = 0;
  Accumulator<T>* log_sum = nullptr;  // first query, head 0: log Σ exp(score); or null in forward
  std::int64_t log_sum_head = 0;      // stride between heads
  // Backward.
  const T* doutput = nullptr;       // strides as output
  T* dq = nullptr;                  // strides as q
  Accumulator<T>* dkeys = nullptr;  // [rows, padded head_dim], added to
  Accumulator<T>* dvalues = nullptr;
  Accumulator<T>* scratch = nullptr;  // attention_scratch() values
};

// Writes one head's accumulated key and value gradients, rotating the former back.
template <typename T>
struct KeyGradients {
  std::int64_t head_dim = 0;
  std::int64_t rows = 0;
  const Accumulator<T>* dkeys_sum = nullptr;
  const Accumulator<T>* dvalues_sum = nullptr;
  Rotation<T> rotation;
  T* dkeys = nullptr;
  T* dvalues = nullptr;
  std::int64_t key_row = 0, value_row = 0;
};

// One row of logits and the tokens that are its targets.
template <typename T>
struct CrossEntropy {
  std::int64_t vocabulary = 0;
  T* logits = nullptr;  // becomes d(Σ weight · nll)/dlogits when differentiate
  bool differentiate = false;
  std::int64_t targets = 0;
  const std::int64_t* tokens = nullptr;
  const Accumulator<T>* weights = nullptr;
  Accumulator<T>* nll = nullptr;  // [targets]
};

template <typename T>
struct Table {
  void (*norm)(const Norm<T>&, std::int64_t begin, std::int64_t end);
  void (*norm_backward)(const NormBackward<T>&, std::int64_t begin, std::int64_t end);
  void (*activation)(const Activation<T>&, std::int64_t begin, std::int64_t end);
  void (*activation_backward)(const Activation<T>&, std::int64_t begin, std::int64_t end);
  void (*column_sums)(const ColumnSums<T>&, std::int64_t begin, std::int64_t end);
  void (*attention)(const Attention<T>&);
  void (*attention_backward)(const Attention<T>&);
  void (*key_gradients)(const KeyGradients<T>&);
  void (*cross_entropy)(const CrossEntropy<T>&);
};

// The table for this processor.
template <typename T>
const Table<T>& table();

// Which table that is: "avx512bf16", "avx512", "avx2" or "generic".
const char* instruction_set();
// Another one from now on, if this processor has its instructions: for tests and measurements.
bool use_instruction_set(const char* name);

// Queries that attention handles at a time; even, as it may take them in pairs.
constexpr std::int64_t kQueryBlock = 48;
// Counts as attention's accumulators pad them: whole lanes of every type.
constexpr std::int64_t padded(std::int64_t count) { return (count + 15) / 16 * 16; }
// Accumulators of scratch space that attention over this many keys needs: four matrices of keys or
// values, three of a block's rows and four of its scores (attention_loops.h, Workspace), each
// padded so that its pairs are whole lanes.
constexpr std::int64_t attention_scratch(std::int64_t keys, std::int64_t head_dim) {
  const std::int64_t rows = (keys + 31) / 32 * 32, width = (head_dim + 31) / 32 * 32;
  return 4 * rows * width + 3 * kQueryBlock * width + 4 * kQueryBlock * rows;
}

}  // namespace taskneuron::kernels
