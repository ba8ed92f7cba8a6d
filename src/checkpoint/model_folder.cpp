#include "taskneuron/checkpoint/model_folder.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <optional>
#include <vector>

#include "base/file.h"
#include "taskneuron/base/error.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kHashDigits = 40;

// A name on the hub: "org/name", or "name" alone of its oldest models.
struct HubName {
  std::string repository;
  std::string revision = "main";
  bool revision_given = false;

  std::string download() const {
    return fmt::format("hf download {}{}", repository,
                       revision_given ? " --revision " + revision : "");
  }
};

bool is_hash(const std::string& text) {
  return text.size() == kHashDigits &&
         text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

// Letters, digits, '.', '_' and '-', but nothing that would lead a path elsewhere.
bool is_word(const std::string& text) {
  return !text.empty() && text.front() != '.' && text.find("..") == std::string::npos &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
         });
}

std::vector<std::string> parts_of(const std::string& text) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == '/') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

bool all_words(const std::vector<std::string>& parts) {
  return std::all_of(parts.begin(), parts.end(), is_word);
}

std::optional<HubName> parse_hub_name(const std::string& text) {
  HubName name;
  const std::size_t at = text.find('@');
  name.repository = text.substr(0, at);
  if (at != std::string::npos) {
    name.revision = text.substr(at + 1);
    name.revision_given = true;
  }
  const std::vector<std::string> parts = parts_of(name.repository);
  if (parts.size() > 2 || !all_words(parts) || !all_words(parts_of(name.revision))) {
    return std::nullopt;
  }
  return name;
}

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

fs::path in_home(const std::string& path) {
  if (path != "~" && path.rfind("~/", 0) != 0) return path;
  return fs::path(variable("HOME")) / path.substr(std::min<std::size_t>(2, path.size()));
}

fs::path hub_cache() {
  for (const char* name : {"HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"}) {
    if (const std::string folder = variable(name); !folder.empty()) return in_home(folder);
  }
  if (const std::string folder = variable("HF_HOME"); !folder.empty())
    return in_home(folder) / "hub";
  return user_cache() / "huggingface" / "hub";
}

// models--org--name: what huggingface_hub calls a model's folder.
fs::path repository_folder(const HubName& name) {
  return hub_cache() / fmt::format("models--{}", fmt::join(parts_of(name.repository), "--"));
}

// The commit that a branch or tag stands for; "" if it isn't there.
std::string commit_of(const fs::path& repository, const std::string& revision) {
  if (is_hash(revision)) return revision;
  const fs::path reference = repository / "refs" / revision;
  if (!fs::is_regular_file(reference)) return "";
  std::string commit = read_file(reference, 4096);
  commit.erase(commit.find_last_not_of(" \r\n") + 1);
  if (!is_word(commit)) {
    throw Error(fmt::format("{}: a commit's hash was expected", reference.string()));
  }
  return commit;
}

std::string revisions_there(const fs::path& repository) {
  std::vector<std::string> names;
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator(repository / "refs", ignored)) {
    if (entry.is_regular_file()) {
      names.push_back(fs::relative(entry.path(), repository / "refs").string());
    }
  }
  std::sort(names.begin(), names.end());
  return names.empty() ? "no revision" : fmt::format("only {}", fmt::join(names, ", "));
}

[[noreturn]] void fail_missing(const std::string& given, const std::optional<HubName>& name) {
  if (fs::exists(given)) {
    throw Error(fmt::format("{}: is a file; a model folder was expected", given));
  }
  const std::string folder = fmt::format(
      "{}: no such model folder; expected a folder with config.json and "
      "model.safetensors",
      given);
  if (!name) throw Error(folder);
  if (name->repository.find('/') == std::string::npos && !name->revision_given) {
    throw Error(fmt::format("{} (nor is there such a model in {})", folder, hub_cache().string()));
  }
  throw Error(
      fmt::format("{}: no such folder, and no such model in the Hugging Face cache {}; get it with "
                  "`{}`, or correct the path",
                  given, hub_cache().string(), name->download()));
}

ModelFolder find_in_cache(const std::string& given, const HubName& name,
                          const fs::path& repository) {
  const std::string commit = commit_of(repository, name.revision);
  if (commit.empty()) {
    throw Error(fmt::format("{}: {} has {}, not '{}'; get it with `{}`", given, repository.string(),
                            revisions_there(repository), name.revision, name.download()));
  }
  const fs::path snapshot = repository / "snapshots" / commit;
  if (!fs::exists(snapshot / "config.json")) {
    throw Error(
        fmt::format("{}: {} has no config.json: it was not downloaded, or not whole; get "
                    "it with `{}`",
                    given, snapshot.string(), name.download()));
  }
  return {snapshot, commit};
}

}  // namespace

fs::path user_cache() {
  const std::string cache = variable("XDG_CACHE_HOME");
  return in_home(cache.empty() ? "~/.cache" : cache);
}

ModelFolder find_model(const std::string& name) {
  if (fs::is_directory(name)) return {name, ""};
  const std::optional<HubName> hub = parse_hub_name(name);
  if (hub && !fs::exists(name)) {
    const fs::path repository = repository_folder(*hub);
    if (fs::is_directory(repository)) return find_in_cache(name, *hub, repository);
  }
  fail_missing(name, hub);
}

}  // namespace taskneuron
