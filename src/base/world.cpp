#include "base/world.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/file.h"
#include "base/torch_compat.h"

namespace taskneuron {

namespace {

class OneProcess : public World {
 public:
  OneProcess() : World(WorldPlace{}) {}
};

std::unique_ptr<World>& held() {
  static std::unique_ptr<World> the = std::make_unique<OneProcess>();
  return the;
}

}  // namespace

World& world() { return *held(); }

void set_world(std::unique_ptr<World> joined) { held() = std::move(joined); }

void World::sum(std::vector<double>& values) {
  if (alone() || values.empty()) return;
  sum(std::vector<at::Tensor>{
      at::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, at::kDouble)});
}

void World::sum(std::int64_t& value) {
  if (alone()) return;
  sum(std::vector<at::Tensor>{at::from_blob(&value, {1}, at::kLong)});
}

std::int64_t World::least(std::int64_t value) {
  for (const std::string& text : gather(std::to_string(value))) {
    value = std::min<std::int64_t>(value, std::stoll(text));
  }
  return value;
}

void World::require_same(const std::string& what, const std::string& text) {
  if (alone()) return;
  const std::vector<std::string> all = gather(text);
  for (std::size_t r = 1; r < all.size(); ++r) {
    if (all[r] == all[0]) continue;
    throw Error(fmt::format("rank {} has another {} than rank 0: {} and {}; every rank needs the "
                            "same",
                            r, what, all[r], all[0]));
  }
}

void mirror_files(const std::string& folder, const std::vector<std::string>& names) {
  namespace fs = std::filesystem;
  if (world().alone()) return;
  for (const std::string& name : names) {
    const fs::path path = fs::path(folder) / name;
    const bool holds = world().rank() == 0 && fs::exists(path);
    const std::string there = world().broadcast(holds ? "yes" : "");
    if (there.empty()) continue;
    const std::string content = world().broadcast(holds ? read_file(path, SIZE_MAX) : "");
    if (world().rank() > 0) write_file(path, content);
  }
}

}  // namespace taskneuron
