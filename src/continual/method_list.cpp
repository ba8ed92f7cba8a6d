#include <fmt/format.h>
#include <fmt/ranges.h>

#include "continual/methods.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

const std::set<std::string> kUnits = {"top",         "scope", "finder",    "probe_steps",
                                      "fisher_rows", "soft",  "exclusive", "orthogonal"};
const std::set<std::string> kAdapters = {"rank", "alpha", "targets"};

std::set<std::string> with(std::set<std::string> keys, const std::set<std::string>& more) {
  keys.insert(more.begin(), more.end());
  return keys;
}

void unchanged(MethodSettings&) {}
template <int thousandths>
void lambda(MethodSettings& settings) {
  settings.lambda = thousandths / 1000.0;
}

}  // namespace

const std::vector<MethodKind>& method_kinds() {
  static const std::vector<MethodKind> kinds = {
      {"ncft", "finds the units of each task in the model as it is then and trains them alone",
       kUnits, unchanged, make_ncft},
      {"w-ncft", "ncft whose units count by how like a tested task is to each trained one",
       with(kUnits, {"combine", "temperature", "route", "stored", "dynamic"}), unchanged,
       make_w_ncft},
      {"ncft-random", "control: a random set for each task, with the layer profile of ncft's",
       kUnits, unchanged, make_ncft_random},
      {"ncft-disjoint", "control: random sets that share no unit, with the layer profile of ncft's",
       kUnits, unchanged, make_ncft_disjoint},
      {"seqft", "all parameters, one task after another", {}, unchanged, make_seqft},
      {"seqlora", "one adapter that is trained on", kAdapters, unchanged, make_seqlora},
      {"inclora", "a new adapter for each task, earlier ones frozen", kAdapters, unchanged,
       make_inclora},
      {"o-lora", "inclora with adapters kept orthogonal (Wang et al. 2023)",
       with(kAdapters, {"lambda", "penalty"}), lambda<500>, make_o_lora},
      {"epi",
       "adapters for each task alone, chosen for each example by its features (Wang et al. "
       "2023b)",
       kAdapters, unchanged, make_epi},
      {"ewc",
       "all parameters, anchored by Fisher information (Kirkpatrick et al. 2017)",
       {"lambda", "fisher_rows"},
       lambda<1000>,
       make_ewc},
      {"lwf",
       "all parameters, with what the model said of the new rows kept (Li & Hoiem 2017)",
       {"lambda", "softness"},
       lambda<1000>,
       make_lwf},
      {"l2", "all parameters, anchored to the last stage's", {"lambda"}, lambda<10>, make_l2},
      {"replay",
       "all parameters, with some rows of earlier tasks",
       {"share"},
       unchanged,
       make_replay},
      {"per-task", "reference: a model for each task", {}, unchanged, make_per_task},
      {"mtl", "reference: one model on all tasks at once", {}, unchanged, make_mtl},
  };
  return kinds;
}

const MethodKind& find_method(const std::string& name) {
  std::vector<std::string> names;
  for (const MethodKind& kind : method_kinds()) {
    if (name == kind.name) return kind;
    names.push_back(kind.name);
  }
  throw UsageError("method", name, fmt::format("{}", fmt::join(names, ", ")));
}

std::set<std::string> method_keys(const MethodKind& kind) {
  return with(kind.keys, {"lr", "epochs", "batch"});
}

std::vector<Answer> Method::answers(TestView& view) const {
  Answer answer;
  answer.stage = static_cast<std::int64_t>(view.stages()) - 1;
  return {answer};
}

}  // namespace taskneuron
