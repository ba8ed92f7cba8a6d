#include "base/world.h"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <optional>

#include "base/file.h"
#include "base/sha256.h"
#include "base/torch_compat.h"

namespace taskneuron {

namespace {

constexpr std::size_t kPiece = 16 << 20;

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

double World::broadcast_value(double value) {
  if (alone()) return value;
  const std::string bytes = broadcast({reinterpret_cast<const char*>(&value), sizeof value});
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
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
    throw Error(
        fmt::format("rank {} has another {} than rank 0: {} and {}; every rank needs the "
                    "same",
                    r, what, all[r], all[0]));
  }
}

void require_same_file(const std::string& path) {
  if (world().alone()) return;
  world().require_same(fmt::format("file {}", path), sha256_of_file(path));
}

void mirror_files(const std::string& folder, const std::vector<std::string>& names) {
  namespace fs = std::filesystem;
  if (world().alone()) return;
  for (const std::string& name : names) {
    const fs::path path = fs::path(folder) / name;
    const bool holds = world().rank() == 0 && fs::exists(path);
    const std::string there = world().broadcast(holds ? "yes" : "");
    if (there.empty()) continue;
    std::optional<InputFile> from;
    std::optional<AtomicFile> to;
    if (holds) {
      from.emplace(path);
    } else {
      to.emplace(path);
    }
    // In pieces, for a checkpoint may be as large as what trains.
    std::string piece;
    do {
      piece.resize(holds ? kPiece : 0);
      if (holds) piece.resize(from->read(piece.data(), piece.size()));
      piece = world().broadcast(piece);
      if (to) to->write(piece);
    } while (!piece.empty());
    if (to) to->commit();
  }
}

}  // namespace taskneuron
