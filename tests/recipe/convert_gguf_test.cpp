// GGUF files as model folders, against Transformers' own loading of them
// (tests/goldens/make_gguf.py).
#include "base/json.h"
#include "support/support.h"
#include "taskneuron/base/error.h"
#include "taskneuron/checkpoint/gguf_model.h"
#include "taskneuron/checkpoint/safetensors.h"
#include "taskneuron/model/decoder.h"
#include "taskneuron/recipe/convert.h"
#include "taskneuron/text/tokenizer.h"

namespace taskneuron {
namespace {

namespace fs = std::filesystem;

class ConvertGguf : public ::testing::TestWithParam<std::string> {
 protected:
  fs::path file() const { return test::fixtures() / "gguf" / (GetParam() + ".gguf"); }
};

TEST_P(ConvertGguf, LogitsAndEncodingsAreTransformers) {
  const test::TemporaryFolder folder;
  const fs::path out = folder / "model";
  const ConvertResult result = convert({file().string(), "float32", out.string()});
  const Checkpoint checkpoint(out);
  EXPECT_EQ(result.hash, checkpoint.hash());
  const SafetensorsFile golden(test::fixtures() / "gguf" / "logits.safetensors");
  const at::Tensor ids = golden.tensor("ids").to(at::kLong);
  const test::TokenExample example{
      {ids.data_ptr<std::int64_t>(), ids.data_ptr<std::int64_t>() + ids.numel()}, 1};
  const Decoder decoder(checkpoint, {});
  const at::NoGradGuard no_gradients;
  NeuronHook none;
  const at::Tensor logits =
      decoder.logits(decoder.features(test::answer_batch({example}, true), none));
  EXPECT_CLOSE(logits, golden.tensor(GetParam()), 1e-4);

  const Json encodings = read_json(test::fixtures() / "gguf" / "encodings.json");
  const Tokenizer tokenizer(out);
  for (std::size_t i = 0; i < encodings["lines"].size(); ++i) {
    const auto line = encodings["lines"][i].get<std::string>();
    EXPECT_EQ(tokenizer.encode(line, SpecialTokens::kAdd),
              encodings["ids"][GetParam()][i].get<std::vector<std::int64_t>>())
        << line;
  }
}

// A file of each architecture; mixtures like Mixtral call theirs llama.
std::vector<std::string> gguf_fixtures() {
  std::vector<std::string> names = gguf_architectures();
  names.push_back("mixtral");
  return names;
}

INSTANTIATE_TEST_SUITE_P(Architectures, ConvertGguf, ::testing::ValuesIn(gguf_fixtures()),
                         [](const auto& name) { return name.param; });

TEST(ConvertGguf, WhatIsNoGgufFileLeavesNothingBehind) {
  const test::TemporaryFolder folder;
  const fs::path out = folder / "model";
  const std::string other = (test::fixtures() / "gguf" / "types.safetensors").string();
  const fs::path named = folder / "other.gguf";
  fs::copy_file(other, named);
  const std::string error = test::error_of([&] {
    convert({named.string(), "float32", out.string()});
  });
  EXPECT_NE(error.find("other.gguf: is no GGUF file"), std::string::npos) << error;
  EXPECT_FALSE(fs::exists(out));
}

}  // namespace
}  // namespace taskneuron
