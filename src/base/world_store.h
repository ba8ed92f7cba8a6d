#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "base/world.h"
#include "base/world_watch.h"

namespace taskneuron {

// The store at rank 0's port, in which ranks leave texts for each other.
using StorePtr = c10::intrusive_ptr<c10d::Store>;

// What every rank must be: LibTorch's stores do not say it themselves, and those of other versions
// wait for each other.
std::string own_version();

// The first line of what others say of errors.
std::string first_line(const std::string& text);

// guest: of the server that is there by now. Throws Error within half a minute where rank 0's host
// has no address, does not answer or speaks otherwise, and where rank 0 cannot listen.
StorePtr open_store(const WorldPlace& place, bool guest);

// Of texts under keys.
void put(c10d::Store& store, const std::string& key, const std::string& text);
std::string get(c10d::Store& store, const std::string& key);

// The board that a store is.
std::unique_ptr<WorldBoard> board_of(StorePtr store);

}  // namespace taskneuron
