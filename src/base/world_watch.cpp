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
      thread_([this] { run(); }) {}

WorldWatch::~WorldWatch() {
  stopped_ = true;
  stop_.notify_all();
  thread_.join();
}

std::string WorldWatch::gone_text(std::int64_t rank) const {
  return fmt::format("rank {} ({}) is gone; start all ranks again, a training with `resume`", rank,
                     names_[static_cast<std::size_t>(rank)]);
}

std::optional<std::int64_t> WorldWatch::silent(milliseconds longer_than) {
  const auto now = Clock::now();
  for (std::int64_t r = 0; r < place_.size; ++r) {
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

// Whether there is more to watch.
bool WorldWatch::beat() {
  std::string told;
  try {
    const std::lock_guard<std::mutex> lock(board_mutex_);
    board_->add(beat_key(place_.rank), 1);
    if (leaving_) return true;
    const bool ended = board_->find(kWhyAllEnd).has_value();
    const auto gone = ended ? std::nullopt : silent(kSilent);
    if (!ended && !gone) return true;
    if (gone) {
      const std::string text = gone_text(*gone);
      if (board_->claim(kWhyAllEnd, fmt::format("{} {}", place_.rank, text)) ==
          fmt::format("{} {}", place_.rank, text)) {
        told = text;
      }
    }
    board_->add("left", 1);
  } catch (const std::exception&) {
    if (leaving_ || stopped_) return false;
    // The store went with rank 0; the next one tells.
    if (place_.rank == 1) told = gone_text(0);
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
      if (board_->find(kWhyAllEnd)) return "";
      if (const auto gone = silent(kSilentLost)) return gone_text(*gone);
    } catch (const std::exception&) {
      return place_.rank == 1 ? gone_text(0) : "";
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
    {
      const std::lock_guard<std::mutex> lock(board_mutex_);
      first = !text.empty() && board_->claim(kWhyAllEnd, mine) == mine;
      board_->add("left", 1);
    }
    const auto until = Clock::now() + kSilentLost;
    while (place_.rank == 0 && Clock::now() < until) {
      std::this_thread::sleep_for(kBeat / 5);
      const std::lock_guard<std::mutex> lock(board_mutex_);
      if (board_->add("left", 0) >= place_.size) break;
    }
  } catch (const std::exception&) {
    return !text.empty() && place_.rank == 1;
  }
  return first;
}

}  // namespace taskneuron
