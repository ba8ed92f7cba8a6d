#include "support/support.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "base/json.h"
#include "taskneuron/base/compute.h"
#include "taskneuron/base/error.h"

namespace taskneuron::test {

namespace fs = std::filesystem;

fs::path fixtures() { return TASKNEURON_FIXTURES; }
fs::path examples() { return TASKNEURON_EXAMPLES; }

std::vector<std::string> family_fixtures() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(fixtures() / "hf_parity")) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

at::Device device() {
  const char* name = std::getenv("TASKNEURON_TEST_DEVICE");
  return name == nullptr ? at::Device(at::kCPU) : parse_device(name);
}

fs::path shared() {
  const fs::path folder = TASKNEURON_SHARED;
  return fs::is_directory(folder / "models") ? folder : fs::path();
}

double relative_error(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a.detach().cpu().to(at::kDouble).flatten(),
                   y = b.detach().cpu().to(at::kDouble).flatten();
  const double scale = y.norm().item<double>();
  const double distance = (x - y).norm().item<double>();
  return scale == 0 ? distance : distance / scale;
}

TemporaryFolder::TemporaryFolder() {
  static int counter = 0;
  path_ = fs::temp_directory_path() /
          ("taskneuron_test_" + std::to_string(::getpid()) + "_" + std::to_string(counter++));
  fs::create_directories(path_);
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

void copy_damaged_model(const fs::path& from, const fs::path& to, const std::string& name,
                        float value) {
  fs::copy(from, to, fs::copy_options::recursive);
  const fs::path path = to / "model.safetensors";
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  std::uint64_t size = 0;
  file.read(reinterpret_cast<char*>(&size), sizeof(size));
  std::string header(size, ' ');
  file.read(header.data(), static_cast<std::streamsize>(size));
  const auto begin = Json::parse(header).at(name).at("data_offsets").at(0).get<std::uint64_t>();
  file.seekp(static_cast<std::streamoff>(sizeof(size) + size + begin));
  file.write(reinterpret_cast<const char*>(&value), sizeof(value));
  ASSERT_TRUE(file.good());
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "no Error was thrown";
  return "";
}

Batch answer_batch(const std::vector<TokenExample>& examples, bool all_logits) {
  Batch batch;
  for (const TokenExample& example : examples) {
    const auto number = static_cast<int>(batch.examples++);
    Segment segment;
    segment.begin = batch.tokens();
    const auto length = static_cast<std::int64_t>(example.ids.size());
    const std::int64_t fed = all_logits ? length : length - 1;
    for (std::int64_t i = 0; i < fed; ++i) {
      batch.ids.push_back(example.ids[static_cast<std::size_t>(i)]);
      batch.positions.push_back(i);
    }
    segment.end = batch.tokens();
    segment.logit_rows = all_logits ? length : example.answer_tokens;
    segment.example = number;
    batch.segments.push_back(segment);
    for (std::int64_t i = length - example.answer_tokens; i < length; ++i) {
      batch.targets.push_back({segment.begin + i - 1, example.ids[static_cast<std::size_t>(i)],
                               number, 1.0 / static_cast<double>(example.answer_tokens)});
    }
  }
  batch.sequences = batch.examples;
  return batch;
}

}  // namespace taskneuron::test
