#include <fmt/format.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/torch_compat.h"
#include "taskneuron/base/error.h"
#include "taskneuron/checkpoint/checkpoint.h"

namespace taskneuron {

namespace fs = std::filesystem;

namespace {

// A folder that is removed again unless it is renamed into place.
class AtomicFolder {
 public:
  explicit AtomicFolder(fs::path path) : path_(std::move(path)) {
    if (fs::exists(path_)) {
      throw Error(
          fmt::format("{}: exists already; choose another folder or remove it", path_.string()));
    }
    temporary_ = path_.string() + fmt::format(".{}.tmp", ::getpid());
    std::error_code failure;
    if (path_.has_parent_path()) fs::create_directories(path_.parent_path(), failure);
    fs::create_directory(temporary_, failure);
    if (failure) {
      throw Error(fmt::format("{}: cannot be created: {}", path_.string(), failure.message()));
    }
  }
  ~AtomicFolder() {
    std::error_code ignored;
    if (!committed_) fs::remove_all(temporary_, ignored);
  }
  AtomicFolder(const AtomicFolder&) = delete;
  AtomicFolder& operator=(const AtomicFolder&) = delete;

  const fs::path& temporary() const { return temporary_; }
  void commit() {
    std::error_code failure;
    fs::rename(temporary_, path_, failure);
    if (failure) {
      throw Error(fmt::format("{}: cannot be written: {}", path_.string(), failure.message()));
    }
    committed_ = true;
  }

 private:
  fs::path path_;
  fs::path temporary_;
  bool committed_ = false;
};

bool is_weight_file(const fs::path& path) {
  const std::string name = path.filename().string();
  return path.extension() == ".safetensors" || name == "model.safetensors.index.json" ||
         path.extension() == ".bin";
}

}  // namespace

void save_model(const Checkpoint& base, const std::map<std::string, at::Tensor>& replaced,
                const fs::path& out) {
  AtomicFolder folder(out);
  NamedTensors tensors;
  for (const std::string& name : base.tensor_names()) {
    const auto found = replaced.find(name);
    tensors.emplace_back(name, found == replaced.end() ? base.tensor(name) : found->second);
    TN_CHECK(tensors.back().second.sizes() == base.tensor(name).sizes());
  }
  for (const auto& item : replaced) TN_CHECK(base.contains(item.first));
  write_safetensors(folder.temporary() / "model.safetensors", std::move(tensors),
                    {{"format", "pt"}});
  for (const fs::directory_entry& entry : fs::directory_iterator(base.folder())) {
    if (entry.is_regular_file() && !is_weight_file(entry.path())) {
      fs::copy_file(entry.path(), folder.temporary() / entry.path().filename());
    }
  }
  folder.commit();
}

}  // namespace taskneuron
