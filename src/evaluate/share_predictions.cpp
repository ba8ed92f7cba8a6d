#include <cstring>

#include "base/check.h"
#include "base/world.h"
#include "evaluate/evaluation_pass.h"

namespace taskneuron {

namespace {

// Numbers travel as their bytes: every rank must end with the same ones.
class Packed {
 public:
  Packed() = default;
  explicit Packed(std::string bytes) : bytes_(std::move(bytes)) {}

  template <typename Number>
  void put(Number value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void put(const std::string& text) {
    put(text.size());
    bytes_ += text;
  }
  template <typename Number>
  Number take() {
    Number value{};
    TN_CHECK_LE(at_ + sizeof value, bytes_.size());
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  std::string take_text() {
    const auto size = take<std::size_t>();
    TN_CHECK_LE(size, bytes_.size() - at_);
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }
  bool ended() const { return at_ == bytes_.size(); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
  std::size_t at_ = 0;
};

bool filled(const Prediction& one) {
  return one.loss != 0 || one.score != 0 || one.gold >= 0 || !one.prediction.empty();
}

void put(Packed& packed, std::size_t row, const Prediction& one) {
  packed.put(row);
  packed.put(one.loss);
  packed.put(one.score);
  packed.put(one.gold);
  packed.put(one.prediction);
  packed.put(one.scores.size());
  for (const double score : one.scores) packed.put(score);
}

void take(Packed& packed, std::vector<Prediction>& predictions) {
  const auto row = packed.take<std::size_t>();
  TN_CHECK_LT(row, predictions.size());
  Prediction& one = predictions[row];
  one.loss += packed.take<double>();
  one.score += packed.take<double>();
  one.gold = std::max(one.gold, packed.take<std::int64_t>());
  const std::string text = packed.take_text();
  if (!text.empty()) one.prediction = text;
  const auto count = packed.take<std::size_t>();
  for (std::size_t i = 0; i < count; ++i) one.scores.push_back(packed.take<double>());
}

}  // namespace

void share_predictions(std::vector<Prediction>& predictions) {
  if (world().alone()) return;
  Packed own;
  for (std::size_t row = 0; row < predictions.size(); ++row) {
    if (filled(predictions[row])) put(own, row, predictions[row]);
  }
  const std::vector<std::string> all = world().gather(own.bytes());
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    if (static_cast<std::int64_t>(rank) == world().rank()) continue;
    Packed packed(all[rank]);
    while (!packed.ended()) take(packed, predictions);
  }
}

}  // namespace taskneuron
