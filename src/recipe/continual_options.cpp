#include <fmt/format.h>

#include <set>

#include "recipe/continual_parts.h"
#include "recipe/work_folder.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

// Which streams a call is of, and how much of them is measured.
const std::vector<std::string> kWhichStreams = {"method", "seeds",     "seed",
                                                "unseen", "no_single", "memory"};
// What else may differ between calls of one folder: stages and evaluations tell by their keys what
// they were made with.
const std::vector<std::string> kMayGrow = {
    "lr", "epochs", "batch", "detect_limit", "test_split", "test_limit", "generate_limit"};

// Settings of an order, which may name more than this method reads where they are for all.
void apply_order(const Order& order, const std::string& name, const std::set<std::string>& keys,
                 bool for_all, MethodSettings& settings) {
  const auto found = order.settings.find(for_all ? "*" : name);
  if (found == order.settings.end()) return;
  std::map<std::string, std::string> values = found->second;
  if (for_all) {
    for (auto item = values.begin(); item != values.end();) {
      item = keys.count(item->first) == 0 ? values.erase(item) : std::next(item);
    }
  }
  apply_settings(values, keys, fmt::format("{}: settings of {}", order.path, found->first),
                 settings);
}

}  // namespace

void ContinualOptions::declare(OptionList& list) {
  data.declare(list);
  for (const char* name : {"task", "split", "batch"}) list.remove(name);
  list.add("order", &orders, Effect::kInput,
           "Files that name the tasks of a stream and their order (docs/formats/order.md)")
      .required();
  list.add("tasks", &task_folders, Effect::kInput,
           "Folders in which the tasks named in orders are");
  list.add("method", &methods, Effect::kInput,
           "ncft, w-ncft, ... with settings as METHOD:KEY=VALUE,KEY=VALUE (all are listed below, "
           "defaults in docs/formats/continual.md)")
      .required();
  list.add("out", &out, Effect::kNone, "Folder of all stages").required();
  list.add("seeds", &seeds, Effect::kResult, "Streams of each method and order").between(1, 1000);
  list.add("seed", &seed, Effect::kResult, "Seed of the first");
  list.add("lr", &learning_rate, Effect::kResult, "Learning rate where no setting gives one");
  list.add("epochs", &epochs, Effect::kResult, "Passes over a task's rows, likewise");
  list.add("batch", &batch, Effect::kResult, "Examples per optimizer step, likewise").at_least(1);
  declare_optimizer(list);
  list.add("detect_limit", &detect_limit, Effect::kResult,
           "Train rows that relevance is taken from; 0: all")
      .at_least(0);
  list.add("feature_rows", &feature_rows, Effect::kResult,
           "Train rows whose features tell a task from others")
      .at_least(1);
  list.add("test_split", &test_split, Effect::kResult,
           "Split that tasks are tested on; validation, to choose settings");
  list.add("test_limit", &test_limit, Effect::kResult, "Rows of it; 0: all").at_least(0);
  list.add("generate_limit", &generate_limit, Effect::kResult,
           "The same for generation tasks; 0: all")
      .at_least(0);
  list.add("unseen", &unseen, Effect::kResult,
           "Tasks that are tested before they have trained: next (as FWT needs), all or none");
  list.add("checkpoint_seconds", &checkpoint_seconds, Effect::kNone,
           "Between checkpoints of a stage's training")
      .at_least(0);
  list.add("no_single", &no_single, Effect::kResult,
           "Leave out the models of one task alone, which FG needs");
}

void ContinualOptions::check() const {
  ContinualOptions copy = *this;
  OptionList list;
  copy.declare(list);
  check_values(list);
  data.check();
  if (!(learning_rate > 0)) {
    throw UsageError("lr", fmt::format("{}", learning_rate), "a number above 0", "is out of range");
  }
  if (!(epochs > 0 && epochs < 1e9)) {
    throw UsageError("epochs", fmt::format("{}", epochs), "above 0 and below 1e9",
                     "is out of range");
  }
  parse_schedule(schedule);
  if (unseen != "next" && unseen != "all" && unseen != "none") {
    throw UsageError("unseen", unseen, "next, all or none");
  }
  std::set<std::string> texts;
  for (const std::string& text : methods) {
    find_method(parse_method_spec(text).name);
    if (!texts.insert(text).second) {
      throw UsageError("method", text, "each of them once", "is there twice");
    }
  }
}

MethodPtr make_method(const MethodSpec& spec, const Order& order, const ContinualOptions& options) {
  const MethodKind& kind = find_method(spec.name);
  const std::set<std::string> keys = method_keys(kind);
  MethodSettings settings;
  kind.defaults(settings);
  settings.learning_rate = options.learning_rate;
  settings.epochs = options.epochs;
  settings.batch = options.batch;
  apply_order(order, spec.name, keys, true, settings);
  apply_order(order, spec.name, keys, false, settings);
  try {
    apply_settings(spec.settings, keys, fmt::format("method {}", spec.text), settings);
    return kind.make(settings);
  } catch (const Error& error) {
    const std::string message = without_backticks(error.what());
    const bool named = message.rfind("method ", 0) == 0;
    throw UsageError(named ? message : fmt::format("method {}: {}", spec.text, message));
  }
}

std::map<std::string, Setting> method_settings(const Method& method, const MethodKind& kind) {
  MethodSettings settings = method.settings();
  OptionList list;
  settings.declare(list);
  std::map<std::string, Setting> found = settings_of(list);
  const std::set<std::string> keys = method_keys(kind);
  for (auto item = found.begin(); item != found.end();) {
    item = keys.count(item->first) == 0 ? found.erase(item) : std::next(item);
  }
  return found;
}

std::map<std::string, Setting> stream_settings(const Session& session,
                                               const ContinualOptions& given) {
  ContinualOptions options = given;
  OptionList list;
  options.declare(list);
  std::map<std::string, Setting> settings = settings_of(list);
  for (const std::string& name : kWhichStreams) settings.erase(name);
  const TaskReader reader(session, options.data);
  for (auto& [name, value] : shared_identity(reader)) settings[name] = value;
  return settings;
}

FolderLock open_continual_folder(const ContinualOptions& options,
                                 std::map<std::string, Setting> settings) {
  for (const std::string& name : kMayGrow) settings.erase(name);
  return open_work_folder(
      {options.out, "continual.json", "taskneuron.continual/1", "streams", "use another folder"},
      settings);
}

}  // namespace taskneuron
