#pragma once

// Everything that differs between the oneDNN versions we support (2.7 and 3.x), and nothing else.

#include <oneapi/dnnl/dnnl.hpp>

namespace taskneuron {

// out = a b + bias; bias may be an empty description. Since version 3 there is no description of
// an operation apart from the primitive's.
inline dnnl::matmul::primitive_desc describe_matmul(const dnnl::engine& engine,
                                                    const dnnl::memory::desc& a,
                                                    const dnnl::memory::desc& b,
                                                    const dnnl::memory::desc& bias,
                                                    const dnnl::memory::desc& out,
                                                    const dnnl::primitive_attr& attributes = {}) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, a, b, bias, out, attributes};
#else
  return {dnnl::matmul::desc(a, b, bias, out), attributes, engine};
#endif
}

}  // namespace taskneuron
