#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "taskneuron/base/error.h"

namespace taskneuron {

// Several processes that do one job together: ranks of a world, as torchrun, srun and mpirun start
// them. All run the same program on the same files; they take different examples and add up what
// they found, so that all of them go on with the same numbers.

// Where this process stands, by its launcher's variables.
struct WorldPlace {
  std::int64_t rank = 0;
  std::int64_t size = 1;
  std::int64_t local_rank = 0;  // among those on this machine; -1: the launcher does not say
  std::int64_t local_size = 1;  // of them; 0: the same
  std::string host;             // of rank 0
  std::int64_t port = 0;        // that rank 0 listens at
  std::string job;              // the launcher's names of its job, its step and its restart
};

// RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR and MASTER_PORT (torchrun), or
// OMPI_COMM_WORLD_* (mpirun) or SLURM_* of a step (srun) in the place of the first four. One
// process without any. Throws Error for variables that are no numbers or contradict each other.
WorldPlace world_place();

// Work ended because another rank did.
class LostRank : public Error {
 public:
  using Error::Error;
};

class World {
 public:
  virtual ~World() = default;

  const WorldPlace& place() const { return place_; }
  // Ranks that may run on the very processors that this one may.
  std::int64_t neighbours() const { return neighbours_; }
  std::int64_t rank() const { return place_.rank; }
  std::int64_t size() const { return place_.size; }
  bool alone() const { return size() == 1; }
  // Of many pieces, the largest first, those that this rank does.
  template <typename Piece>
  std::vector<Piece> own_share(std::vector<Piece> pieces) const;

  // All ranks call these, in the same order. Throw LostRank when another has gone.

  // Adds up over the ranks, in place. Contiguous, float32, float64 or int64. Every rank ends with
  // the same bytes, and worlds of one size with the same ones every time.
  virtual void sum(const std::vector<at::Tensor>& /*tensors*/) {}
  void sum(std::vector<double>& values);
  void sum(std::int64_t& value);
  std::int64_t least(std::int64_t value);
  // Of every rank, in their order.
  virtual std::vector<std::string> gather(const std::string& bytes) { return {bytes}; }
  // Rank 0's. broadcast_value: of a number.
  double broadcast_value(double value);
  virtual std::string broadcast(const std::string& bytes) { return bytes; }
  // Throws Error, on all ranks, naming one whose text is not rank 0's: "has other `what`".
  void require_same(const std::string& what, const std::string& text);

  // Where this rank writes what every rank would write to `path`: there, and of ranks above 0 a
  // place of their own that goes with the process.
  virtual std::string output(const std::string& path) const { return path; }

  // Whether this rank is the one that tells why all of them end. text: what it would say.
  virtual bool tells(const std::string& /*text*/) { return true; }
  // All are done: no rank is missed from here on.
  virtual void leave() {}

 protected:
  explicit World(WorldPlace place) : place_(std::move(place)) {}
  void set_neighbours(std::int64_t neighbours) { neighbours_ = neighbours; }
  // Where the launcher has not said it.
  void set_local(std::int64_t rank, std::int64_t size) {
    if (place_.local_rank < 0) place_.local_rank = rank;
    if (place_.local_size == 0) place_.local_size = size;
  }

 private:
  WorldPlace place_;
  std::int64_t neighbours_ = 1;
};

// Dealt there and back, so that shares are of about one size.
template <typename Piece>
std::vector<Piece> World::own_share(std::vector<Piece> pieces) const {
  if (alone()) return pieces;
  std::vector<Piece> own;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(pieces.size()); ++i) {
    const std::int64_t at = i % size();
    const bool back = i / size() % 2 == 1;
    if ((back ? size() - 1 - at : at) == rank()) {
      own.push_back(std::move(pieces[static_cast<std::size_t>(i)]));
    }
  }
  return own;
}

// Throws Error, on all ranks, unless all have the same file at the path.
void require_same_file(const std::string& path);

// Rank 0's files of these names in its `folder`, as far as they are there, into the others' own.
void mirror_files(const std::string& folder, const std::vector<std::string>& names);

// This process's; a world of one unless join_world() has been called.
World& world();

// What join_world() has joined.
void set_world(std::unique_ptr<World> joined);

// Meets the other ranks, as world_place() says; nothing where there is one. From here on ranks
// above 0 print nothing but what tells() allows. Throws Error within half a minute where rank 0
// can't be reached, and where ranks are of other versions.
void join_world();

}  // namespace taskneuron
