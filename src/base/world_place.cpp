// What launchers say of a process's place among others.
#include <fmt/format.h>

#include <cstdlib>
#include <optional>

#include "base/world.h"

namespace taskneuron {

namespace {

constexpr std::int64_t kMostRanks = 65536;
constexpr std::int64_t kDefaultPort = 29500;  // torchrun's

std::string text_of(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::optional<std::int64_t> number_of(const char* name, std::int64_t least, std::int64_t most) {
  const std::string text = text_of(name);
  if (text.empty()) return std::nullopt;
  char* end = nullptr;
  const std::int64_t value = std::strtoll(text.c_str(), &end, 10);
  if (*end != '\0' || value < least || value > most) {
    throw Error(fmt::format("{}='{}' is no whole number of {} to {}; the launcher sets it", name,
                            text, least, most));
  }
  return value;
}

struct Launcher {
  const char* rank;
  const char* size;
  const char* local_rank;
  const char* local_size;
};
// A step of Slurm's, not its job: a script of a job runs once, whatever the job's size. MPICH's and
// Intel's mpirun start one process of Slurm's on each node, which starts the ranks.
constexpr Launcher kLaunchers[] = {
    {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"},
    {"OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK",
     "OMPI_COMM_WORLD_LOCAL_SIZE"},
    {"PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
    {"SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE"},
};

// Slurm's "2(x3),1": how many run on this node, by SLURM_NODEID.
std::int64_t tasks_on_node(const std::string& text, std::int64_t node) {
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const std::string part = text.substr(at, comma - at);
    const std::size_t times = part.find("(x");
    const std::int64_t nodes =
        times == std::string::npos ? 1 : std::strtoll(part.c_str() + times + 2, nullptr, 10);
    if (node < nodes) return std::max<std::int64_t>(1, std::strtoll(part.c_str(), nullptr, 10));
    node -= nodes;
    at = comma + 1;
  }
  return 1;
}

// The first name of Slurm's "node[003-010,12],login": node003.
std::string first_node(const std::string& list) {
  const std::size_t bracket = list.find('[');
  const std::size_t comma = list.find(',');
  if (bracket == std::string::npos || comma < bracket) return list.substr(0, comma);
  const std::size_t end = list.find_first_of(",-]", bracket + 1);
  const std::size_t closed = list.find(']', bracket);
  const std::string behind = closed == std::string::npos
                                 ? ""
                                 : list.substr(closed + 1, list.find(',', closed) - closed - 1);
  return list.substr(0, bracket) + list.substr(bracket + 1, end - bracket - 1) + behind;
}

}  // namespace

WorldPlace world_place() {
  WorldPlace place;
  for (const Launcher& launcher : kLaunchers) {
    const auto size = number_of(launcher.size, 1, kMostRanks);
    const auto rank = number_of(launcher.rank, 0, kMostRanks - 1);
    if (size && *size > 1 && !rank && launcher.size == std::string("WORLD_SIZE")) {
      throw Error(fmt::format("WORLD_SIZE={} without RANK; the launcher sets both", *size));
    }
    if (!size || !rank) continue;
    if (*rank >= *size) {
      throw Error(fmt::format("{}={} is no rank of {}={}; ranks count from 0", launcher.rank, *rank,
                              launcher.size, *size));
    }
    place.rank = *rank;
    place.size = *size;
    const std::string local = text_of(launcher.local_size);
    const bool of_nodes = launcher.rank == std::string("SLURM_PROCID");
    if (of_nodes) {
      place.local_size = tasks_on_node(local, number_of("SLURM_NODEID", 0, kMostRanks).value_or(0));
    } else {
      place.local_size = number_of(launcher.local_size, 1, kMostRanks).value_or(0);
    }
    place.local_size = std::min(place.local_size, place.size);
    place.local_rank = number_of(launcher.local_rank, 0, kMostRanks).value_or(-1);
    break;
  }
  if (place.size == 1) {
    place.local_rank = 0;
    place.local_size = 1;
    return place;
  }
  place.host = text_of("MASTER_ADDR");
  if (place.host.empty()) place.host = first_node(text_of("SLURM_STEP_NODELIST"));
  if (place.host.empty()) {
    throw Error(
        fmt::format("{} ranks, and MASTER_ADDR does not say where rank 0 runs; set it to "
                    "that host's name or address",
                    place.size));
  }
  place.port = number_of("MASTER_PORT", 1, 65535).value_or(kDefaultPort);
  // There listens torchrun itself, and what it speaks depends on its version.
  if (text_of("TORCHELASTIC_USE_AGENT_STORE") == "True") place.port += place.port < 65535 ? 1 : -1;
  for (const char* name : {"TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT", "SLURM_JOB_ID",
                           "SLURM_STEP_ID", "PMIX_NAMESPACE"}) {
    place.job += text_of(name) + ".";
  }
  return place;
}

}  // namespace taskneuron
