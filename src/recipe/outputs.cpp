#include "taskneuron/recipe/outputs.h"

#include <fmt/format.h>

#include <filesystem>
#include <set>

#include "base/file.h"
#include "base/plain_name.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace fs = std::filesystem;

Option& OutputOptions::declare(OptionList& list, const std::string& help) {
  Option& option = list.add("out", &out, Effect::kNone, help);
  list.add("force", &force, Effect::kNone,
           "Replace files that exist (only regular files ever are)");
  return option;
}

Existing OutputOptions::existing() const { return force ? Existing::kReplace : Existing::kRefuse; }

std::vector<std::string> OutputOptions::paths(const std::vector<std::string>& names,
                                              const std::string& extension) const {
  if (names.size() == 1) {
    require_writable(out, existing());
    return {out};
  }
  if (fs::exists(out) && !fs::is_directory(out)) {
    throw Error(fmt::format("{}: is a file; {} files need a folder", out, names.size()));
  }
  std::set<std::string> known;
  std::vector<std::string> paths;
  for (const std::string& name : names) {
    if (const std::string problem = problem_of_name(name); !problem.empty()) {
      throw Error(fmt::format("{}: the name '{}' of a file in it {}", out, name, problem));
    }
    paths.push_back((fs::path(out) / (name + extension)).string());
    if (!known.insert(name).second) {
      throw Error(fmt::format("{}: two of the files would have this name; write them one by one",
                              paths.back()));
    }
    require_writable(paths.back(), existing());
  }
  return paths;
}

}  // namespace taskneuron
