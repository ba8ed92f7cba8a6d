#include "taskneuron/recipe/rollback.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/file.h"
#include "base/json.h"
#include "recipe/continual_parts.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/recipe/session.h"
#include "taskneuron/train/model_card.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

// "0123456789abcdef" of TASK-0123456789abcdef.
std::string key_in_name(const fs::path& folder) {
  const std::string name = folder.filename().string();
  return name.substr(name.rfind('-') + 1);
}

// The folder of the stage with that key, beside `folder`.
fs::path sibling(const fs::path& folder, const std::string& key) {
  for (const auto& entry : fs::directory_iterator(folder.parent_path())) {
    if (!entry.is_symlink() && entry.is_directory() && key_in_name(entry.path()) == key) {
      return entry.path();
    }
  }
  throw Error(
      fmt::format("{}: stands on stage {}, which is not beside it; the command that made the "
                  "stream makes it again",
                  folder.string(), key));
}

// A stage and all before it, the first one first. A key is a hash of what is before it too, so that
// they lead back to a first one.
std::vector<fs::path> chain_of(fs::path folder) {
  std::vector<fs::path> chain;
  while (true) {
    chain.push_back(folder);
    const StageKeys keys = stage_keys(folder);
    if (keys.own != key_in_name(folder)) {
      throw Error(fmt::format("{}: its stage.json is of stage {}; it has been edited or renamed",
                              folder.string(), keys.own));
    }
    if (keys.before.empty()) break;
    folder = sibling(folder, keys.before);
  }
  std::reverse(chain.begin(), chain.end());
  return chain;
}

fs::path stage_folder(const std::string& given) {
  std::error_code ignored;
  const fs::path folder = fs::weakly_canonical(given, ignored);
  if (folder.empty() || !fs::is_directory(folder)) {
    throw Error(
        fmt::format("{}: is no folder; give the path of a stage, STREAMS/stages/TASK-KEY, where "
                    "STREAMS is what "
                    "`out` of continual named",
                    given));
  }
  return folder;
}

SaveOptions changed(const Checkpoint& base, const Checkpoint& model, RollbackResult& result) {
  SaveOptions save;
  for (const std::string& name : base.tensor_names()) {
    const at::Tensor before = base.tensor(name), after = model.tensor(name);
    if (before.data_ptr() == after.data_ptr()) continue;
    const at::Tensor stored = after.to(before.scalar_type());
    save.replaced[name] = after;
    if (!after.equal(before.to(after.scalar_type()))) ++result.tensors;
    if (stored.scalar_type() != after.scalar_type() &&
        !stored.to(after.scalar_type()).equal(after)) {
      save.dtype = at::kFloat;
      result.dtype = "float32";
    }
  }
  if (save.dtype) return save;
  for (auto& [name, tensor] : save.replaced) tensor = tensor.to(base.tensor(name).scalar_type());
  return save;
}

}  // namespace

void RollbackOptions::declare(OptionList& list) {
  list.add("model", &model, Effect::kInput, "The base that the stream started from")
      .positional()
      .required();
  list.add(
          "stage", &stage, Effect::kInput,
          "Folder of the stage, STREAMS/stages/TASK-KEY; the JSON of continual names those of each "
          "stream")
      .required();
  list.add("out", &out, Effect::kNone, "Folder to write; must not exist").required();
}

RollbackResult rollback(const RollbackOptions& options) {
  check_declared(options);
  require_new_folder(options.out);
  const std::vector<fs::path> folders = chain_of(stage_folder(options.stage));
  ModelOptions base_options;
  base_options.model = options.model;
  const Session session(base_options);
  const Checkpoint& base = session.checkpoint();
  StageChain chain(session);
  RollbackResult result;
  for (std::size_t at = 0; at < folders.size(); ++at) {
    chain.add(read_change(folders[at], at));
    result.tasks.push_back(chain.stages().back().cost.task);
    result.stages.push_back(folders[at].string());
  }
  Answer last;
  last.stage = static_cast<std::int64_t>(folders.size()) - 1;
  SaveOptions save = changed(base, chain.model_of(last), result);
  if (save.dtype) {
    note(
        "the base's dtype does not hold the stage's values exactly: written in float32; `dtype` as "
        "in the stream gives its answers");
  }
  save.readme = model_card(
      {options.model,
       base.hash(),
       {},
       fmt::format("made by `taskneuron rollback {} --stage {} --out {}`: the model after {}",
                   options.model, options.stage, options.out, fmt::join(result.tasks, ", "))});
  Progress bar("rollback", base.tensor_bytes());
  save.progress = [&](std::int64_t bytes) { bar.advance(bytes); };
  save_model(base, options.out, save);
  result.hash = Checkpoint(options.out).hash();
  return result;
}

}  // namespace taskneuron
