#include "taskneuron/recipe/apply.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/file.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/recipe/locate_model.h"
#include "taskneuron/recipe/session.h"
#include "taskneuron/train/delta.h"
#include "taskneuron/train/model_card.h"

namespace taskneuron {

void ApplyOptions::declare(OptionList& list) {
  list.add("model", &model, Effect::kInput, "The base that the deltas were trained from")
      .positional()
      .required();
  list.add("delta", &deltas, Effect::kInput,
           "PATH or PATH:SCALE; the result is W0 + the sum of SCALE times what each changed. 1 "
           "merges, -1 subtracts, several compose")
      .required();
  list.add("out", &out, Effect::kNone, "Folder to write; must not exist").required();
}

namespace {

std::string command_line(const ApplyOptions& options) {
  return fmt::format("taskneuron apply {} --delta {} --out {}", options.model,
                     fmt::join(options.deltas, " "), options.out);
}

// The changed tensors in the dtypes that the base stores.
SaveOptions changed(const Checkpoint& base, const std::vector<ScaledDelta>& deltas,
                    ApplyResult& result) {
  SaveOptions save;
  for (const auto& [name, merged] : apply_deltas(base, deltas)) {
    const at::ScalarType stored = base.tensor(name).scalar_type();
    if (merged.scalar_type() != stored) ++result.rounded_tensors;
    save.replaced[name] = merged.to(stored);
  }
  result.tensors = static_cast<std::int64_t>(save.replaced.size());
  if (result.rounded_tensors > 0) {
    note(fmt::format("{} of {} tensors were rounded to the dtype that the folder stores",
                     result.rounded_tensors, result.tensors));
  }
  return save;
}

}  // namespace

ApplyResult apply(const ApplyOptions& options) {
  check_declared(options);
  require_new_folder(options.out);
  const Checkpoint base(locate_model(options.model).path);
  const std::vector<ScaledDelta> deltas = load_deltas(base, options.deltas);
  ApplyResult result;
  result.base_hash = base.hash();
  result.deltas = delta_inputs(options.deltas);
  result.model_tensors = static_cast<std::int64_t>(base.tensor_names().size());
  for (const ScaledDelta& one : deltas) result.values += one.delta.values();
  SaveOptions save = changed(base, deltas, result);
  save.readme = model_card({options.model, result.base_hash, result.deltas,
                            fmt::format("made by `{}`", command_line(options))});
  Progress bar("apply", base.tensor_bytes());
  save.progress = [&](std::int64_t bytes) { bar.advance(bytes); };
  save_model(base, options.out, save);
  result.hash = Checkpoint(options.out).hash();
  return result;
}

}  // namespace taskneuron
