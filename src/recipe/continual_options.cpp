#include <fmt/format.h>

#include <set>

#include "base/file.h"
#include "recipe/continual_parts.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/version.h"
#include "train/run_files.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

constexpr const char* kFormat = "taskneuron.continual/1";
constexpr const char* kFile = "continual.json";

// What may differ between calls: stages and evaluations tell by their keys what they were made
// with.
const std::vector<std::string> kMayGrow = {
    "method",     "seeds",      "seed",           "lr",     "epochs",    "batch", "detect_limit",
    "test_split", "test_limit", "generate_limit", "unseen", "no_single", "memory"};

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
           "ncft, w-ncft, ... with settings as METHOD:KEY=VALUE,KEY=VALUE "
           "(docs/formats/continual.md "
           "lists all)")
      .required();
  list.add("out", &out, Effect::kNone, "Folder of all stages").required();
  list.add("seeds", &seeds, Effect::kResult, "Streams of each method and order").at_least(1);
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
  apply_settings(spec.settings, keys, fmt::format("method {}", spec.text), settings);
  return kind.make(settings);
}

fs::path open_continual_folder(const Session& session, const ContinualOptions& given) {
  ContinualOptions options = given;
  OptionList list;
  options.declare(list);
  std::map<std::string, Setting> settings = settings_of(list);
  for (const std::string& name : kMayGrow) settings.erase(name);
  const TaskReader reader(session, options.data);
  settings["model"] = session.checkpoint().hash();
  settings["dtype"] = std::string(dtype_name(session.decoder().options().dtype));
  settings["template"] = reader.prompt().hash();
  settings["version"] = std::string(version());
  const fs::path folder = options.out, file = folder / kFile;
  if (fs::exists(file)) {
    const Json document = read_json(file);
    const JsonView json(document, file.string());
    if (json.string_or("format", "") != kFormat) json.fail("is no record of streams");
    require_same_settings(settings, json.at("settings"), options.out, "use another folder");
    remove_leftovers(folder);
    return folder;
  }
  if (fs::exists(folder) && !fs::is_directory(folder)) {
    throw Error(fmt::format("{}: is a file; `out` is a folder", options.out));
  }
  if (fs::exists(folder) && !is_free_folder(folder, kFile)) {
    throw Error(
        fmt::format("{}: is not empty, and holds no streams; use another folder", options.out));
  }
  const OutputJson json = {{"format", kFormat}, {"settings", settings_json(settings)}};
  if (fs::exists(folder)) remove_leftovers(folder);
  write_file(file, json.dump(1) + "\n");
  return folder;
}

}  // namespace taskneuron
