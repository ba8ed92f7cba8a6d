#include "base/world_watch.h"

#include <fmt/format.h>

#include <exception>

namespace taskneuron {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kBeat{500};
constexpr milliseconds kSilent{6000};      // while all are at work
constexpr milliseconds kSilentLost{2000};  // once a connection broke

std::string beat_key(std::int64_t rank) { return fmt::format("beat/{}", rank); }

}  // namespace

WorldWatch::WorldWatch(WorldPlace place, std::vector<std::string> names,
                       std::unique_ptr<WorldBoard> board,
                       std::function<void(const std::string&)> end)
    : place_(std::move(place)),
      names_(std::move(names)),
      board_(std::move(board)),
      end_(std::move(end)),
      beats_(static_cast<std::size_t>(place_.size), -1),
      seen_(static_cast<std::size_t>(place_.size), Clock::now()),
      thread_([this] { run(); }),
      guard_([this] { guard(); }) {}

WorldWatch::~WorldWatch() {
  stopped_ = true;
  stop_.notify_all();
  thread_.join();
  guard_.join();
}

std::string WorldWatch::gone_text(std::int64_t rank) const {
  return fmt::format("rank {} ({}) is gone; start all ranks again, a training with `resume`", rank,
                     names_[static_cast<std::size_t>(rank)]);
}

std::optional<std::int64_t> WorldWatch::silent(milliseconds longer_than, bool all) {
  const auto now = Clock::now();
  // Rank 0 watches all, the others rank 0.
  const std::int64_t watched = place_.rank == 0 || all ? place_.size : 1;
  for (std::int64_t r = 0; r < watched; ++r) {
    if (r == place_.rank) continue;
    const auto i = static_cast<std::size_t>(r);
    const std::int64_t count = board_->add(beat_key(r), 0);
    if (count != beats_[i]) {
      beats_[i] = count;
      seen_[i] = now;
    } else if (now - seen_[i] > longer_than) {
      return r;
    }
  }
  return std::nullopt;
}

// The store went with rank 0: who tells is agreed beforehand, and another machine may have gone
// whole.
std::string WorldWatch::without_store() const {
  const bool tells = place_.rank == 1 || place_.rank == place_.local_size;
  return tells ? gone_text(0) : "";
}

// REQUIRES board_mutex_. Who holds the store goes last.
void WorldWatch::wait_for_others() {
  const auto until = Clock::now() + kSilentLost;
  while (Clock::now() < until && board_->add("left", 0) < place_.size) {
    std::this_thread::sleep_for(kBeat / 5);
  }
}

// A board that does not answer holds whoever asks it: this thread never does.
void WorldWatch::guard() {
  while (!stopped_) {
    std::unique_lock<std::mutex> lock(waiting_);
    stop_.wait_for(lock, kBeat, [this] { return stopped_.load(); });
    const Clock::duration began = asked_;
    if (stopped_ || began == Clock::duration::zero()) continue;
    if (Clock::now().time_since_epoch() - began > kSilent) end_(without_store());
  }
}

// Whether there is more to watch.
bool WorldWatch::beat() {
  std::string told;
  try {
    const std::lock_guard<std::mutex> lock(board_mutex_);
    const AtBoard at(*this);
    board_->add(beat_key(place_.rank), 1);
    if (leaving_) return true;
    const bool ended = board_->find(kWhyAllEnd).has_value();
    const auto gone = ended ? std::nullopt : silent(kSilent, false);
    if (!ended && !gone) return true;
    if (gone) {
      const std::string text = gone_text(*gone);
      if (board_->claim(kWhyAllEnd, fmt::format("{} {}", place_.rank, text)) ==
          fmt::format("{} {}", place_.rank, text)) {
        told = text;
      }
    }
    board_->add("left", 1);
    if (place_.rank == 0) wait_for_others();
  } catch (const std::exception&) {
    if (leaving_ || stopped_) return false;
    told = without_store();
  }
  end_(told);
  return false;
}

void WorldWatch::run() {
  while (!stopped_ && beat()) {
    std::unique_lock<std::mutex> lock(waiting_);
    stop_.wait_for(lock, kBeat, [this] { return stopped_.load(); });
  }
}

std::string WorldWatch::lost() {
  leaving_ = true;  // from here on the caller ends this rank
  const auto until = Clock::now() + 2 * kSilentLost;
  while (Clock::now() < until) {
    try {
      const std::lock_guard<std::mutex> lock(board_mutex_);
      const AtBoard at(*this);
      if (board_->find(kWhyAllEnd)) return "";
      if (const auto gone = silent(kSilentLost, true)) return gone_text(*gone);
    } catch (const std::exception&) {
      return without_store();
    }
    std::this_thread::sleep_for(kBeat / 2);
  }
  return "another rank has ended";
}

bool WorldWatch::tells(const std::string& text) {
  leaving_ = true;
  const std::string mine = fmt::format("{} {}", place_.rank, text);
  bool first = false;
  try {
    const std::lock_guard<std::mutex> lock(board_mutex_);
    const AtBoard at(*this);
    first = !text.empty() && board_->claim(kWhyAllEnd, mine) == mine;
    board_->add("left", 1);
    if (place_.rank == 0) wait_for_others();
  } catch (const std::exception&) {
    return !text.empty() && !without_store().empty();
  }
  return first;
}

}  // namespace taskneuron
