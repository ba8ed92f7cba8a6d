#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "taskneuron/analysis/fidelity.h"
#include "taskneuron/recipe/session.h"

namespace taskneuron {

// Does relevance say what a unit is worth, and would other examples choose the same set?
struct AuditOptions {
  DataOptions data;
  std::vector<std::string> sites = {"act"};
  std::string aggregate = "example";
  std::string top = "10%";
  std::string scope = "global";
  std::int64_t units = 200;
  std::int64_t audit_examples = 64;
  std::int64_t points = 20;
  std::int64_t orders = 10;
  double stable = 0.95;
  std::uint64_t seed = 0;
  AuditOptions() { data.split = "train"; }
  void declare(OptionList& list);
  // Throws what is known to be wrong before a model is opened.
  void check() const;

  // What a model to audit is best opened with: in bfloat16 most single units' changes are rounding.
  static ModelOptions model_defaults();
};

struct AuditedTask {
  std::string task;
  LossAudit loss;
  Stability stability;
};

std::vector<AuditedTask> audit(const Session& session, const AuditOptions& options);

}  // namespace taskneuron
