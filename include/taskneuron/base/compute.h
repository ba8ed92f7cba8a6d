#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace taskneuron {

// Number of processors this process may run on.
int available_processors();

// Threads for LibTorch's loops; an OpenBLAS behind it gets one (model/matrix_product.h says why).
// threads = 0: all processors available, or OMP_NUM_THREADS if that is set. Warns when more threads
// than processors are asked for.
void set_threads(int threads);

// Whether LibTorch's float32 products run on OpenBLAS.
bool uses_openblas();

// "cpu", "cuda", "cuda:1". Throws Error for an unknown name and for a device that this LibTorch
// build or machine does not have.
at::Device parse_device(const std::string& name);

// True where bfloat16 matrix products beat float32: AVX512-BF16 or AMX processors, and GPUs.
bool has_fast_bfloat16(at::Device device);

// Short name used in files and flags: "float32", "bfloat16", ...
std::string dtype_name(at::ScalarType dtype);

}  // namespace taskneuron
