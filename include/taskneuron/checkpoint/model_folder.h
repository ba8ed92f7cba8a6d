#pragma once

#include <filesystem>
#include <string>

namespace taskneuron {

// Where a model lies.
struct ModelFolder {
  std::filesystem::path path;
  std::string revision;  // the commit of a folder in the Hugging Face cache; else ""
};

// XDG_CACHE_HOME, default ~/.cache.
std::filesystem::path user_cache();

// A local folder of this name; else what the local Hugging Face cache holds for "org/name" or
// "org/name@revision" (a branch or tag, default main, or a commit's full hash). The cache lies
// where HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME or XDG_CACHE_HOME say, default
// ~/.cache/huggingface/hub. Nothing is ever fetched: throws Error with the command that does.
ModelFolder find_model(const std::string& name);

}  // namespace taskneuron
