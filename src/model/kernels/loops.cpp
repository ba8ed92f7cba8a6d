// The loops behind table.h, compiled once per instruction set: TASKNEURON_INSTRUCTIONS names it and
// TASKNEURON_TILE_ROWS, TASKNEURON_TILE_REGISTERS size the register tile of the small products.
// Includes no LibTorch header: an inline function of theirs compiled here could end up in programs
// that run on processors without these instructions.
#include "model/kernels/activation_loops.h"
#include "model/kernels/attention_loops.h"
#include "model/kernels/cross_entropy_loops.h"
#include "model/kernels/norm_loops.h"
#include "model/kernels/relevance_loops.h"
#include "model/kernels/table.h"

namespace taskneuron::kernels {
namespace {

template <typename T>
constexpr Table<T> kTable = {
    norm<T>,      norm_backward<T>,      activation<T>,    activation_backward<T>, column_sums<T>,
    attention<T>, attention_backward<T>, key_gradients<T>, cross_entropy<T>};

}  // namespace

#define TASKNEURON_JOIN(a, b) a##b
#define TASKNEURON_NAME(a, b) TASKNEURON_JOIN(a, b)
extern const Table<float>* const TASKNEURON_NAME(float_table_, TASKNEURON_INSTRUCTIONS);
extern const Table<double>* const TASKNEURON_NAME(double_table_, TASKNEURON_INSTRUCTIONS);
extern const Table<Bfloat16>* const TASKNEURON_NAME(bfloat16_table_, TASKNEURON_INSTRUCTIONS);
const Table<float>* const TASKNEURON_NAME(float_table_, TASKNEURON_INSTRUCTIONS) = &kTable<float>;
const Table<double>* const TASKNEURON_NAME(double_table_,
                                           TASKNEURON_INSTRUCTIONS) = &kTable<double>;
const Table<Bfloat16>* const TASKNEURON_NAME(bfloat16_table_,
                                             TASKNEURON_INSTRUCTIONS) = &kTable<Bfloat16>;

}  // namespace taskneuron::kernels
