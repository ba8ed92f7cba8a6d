#pragma once

#include "taskneuron/continual/method.h"

// The methods, one file each; method_list.cpp lists them.
namespace taskneuron {

MethodPtr make_ncft(const MethodSettings& settings);
MethodPtr make_w_ncft(const MethodSettings& settings);
MethodPtr make_ncft_random(const MethodSettings& settings);
MethodPtr make_ncft_disjoint(const MethodSettings& settings);
MethodPtr make_seqft(const MethodSettings& settings);
MethodPtr make_seqlora(const MethodSettings& settings);
MethodPtr make_inclora(const MethodSettings& settings);
MethodPtr make_o_lora(const MethodSettings& settings);
MethodPtr make_epi(const MethodSettings& settings);
MethodPtr make_ewc(const MethodSettings& settings);
MethodPtr make_lwf(const MethodSettings& settings);
MethodPtr make_l2(const MethodSettings& settings);
MethodPtr make_replay(const MethodSettings& settings);
MethodPtr make_per_task(const MethodSettings& settings);
MethodPtr make_mtl(const MethodSettings& settings);

}  // namespace taskneuron
