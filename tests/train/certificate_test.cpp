// Which tensors of a checkpoint have to be accounted for.
#include "taskneuron/train/certificate.h"

#include "support/support.h"
#include "taskneuron/checkpoint/safetensors.h"
#include "taskneuron/checkpoint/weight_names.h"

namespace taskneuron {
namespace {

namespace fs = std::filesystem;

// A family's fixture with more tensors in its file.
Checkpoint with_planted(const test::TemporaryFolder& folder, const std::string& family,
                        const std::vector<std::string>& names) {
  const fs::path from = test::fixtures() / "hf_parity" / family, to = folder / family;
  fs::create_directories(to);
  fs::copy_file(from / "config.json", to / "config.json");
  const SafetensorsFile file(from / "model.safetensors");
  NamedTensors tensors;
  for (const auto& item : file.entries()) tensors.emplace_back(item.first, file.tensor(item.first));
  for (const std::string& name : names) tensors.emplace_back(name, at::ones({2, 2}));
  write_safetensors(to / "model.safetensors", tensors, {});
  return Checkpoint(to);
}

TEST(Certificate, TensorOfNoModuleIsRefused) {
  const test::TemporaryFolder folder;
  const std::string planted = "model.layers.1.mlp.router.weight";
  const Checkpoint checkpoint = with_planted(folder, "llama", {planted});
  const Decoder decoder(checkpoint, {});
  const auto weights = named_weights(decoder);
  const std::string certified = test::error_of([&] {
    certify(checkpoint, {}, [&](const std::string& name) {
      const auto found = weights.find(name);
      return found == weights.end() ? at::Tensor() : found->second;
    });
  });
  EXPECT_NE(certified.find(planted), std::string::npos) << certified;
  // Before anything is trained.
  TrainableOptions all;
  all.part = TrainedPart::kAll;
  const std::string trained = test::error_of([&] { make_trainable(checkpoint, decoder, all); });
  EXPECT_NE(trained.find(planted), std::string::npos) << trained;
}

TEST(Certificate, BuffersOfRealCheckpointsAreKnown) {
  const std::map<std::string, std::vector<std::string>> buffers = {
      {"gpt2", {"transformer.h.0.attn.bias", "transformer.h.2.attn.masked_bias", "lm_head.weight"}},
      {"gpt_neox",
       {"gpt_neox.layers.0.attention.bias", "gpt_neox.layers.1.attention.masked_bias",
        "gpt_neox.layers.1.attention.rotary_emb.inv_freq"}},
      {"llama", {"model.layers.0.self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq"}},
      {"opt", {"lm_head.weight"}}};
  const test::TemporaryFolder folder;
  for (const auto& [family, names] : buffers) {
    SCOPED_TRACE(family);
    const Checkpoint checkpoint = with_planted(folder, family, names);
    const Decoder decoder(checkpoint, {});
    const auto weights = named_weights(decoder);
    const Certificate certificate = certify(checkpoint, {}, [&](const std::string& name) {
      const auto found = weights.find(name);
      return found == weights.end() ? at::Tensor() : found->second;
    });
    EXPECT_TRUE(certificate.holds());
    EXPECT_EQ(certificate.tensors.size(), checkpoint.tensor_names().size() - names.size());
  }
}

TEST(Certificate, NamesThatOnlyLookLikeBuffersAreNot) {
  const ModelConfig gpt2 = Checkpoint(test::fixtures() / "hf_parity" / "gpt2").config();
  EXPECT_TRUE(is_buffer(gpt2, "transformer.h.10.attn.bias"));
  EXPECT_TRUE(is_buffer(gpt2, "h.10.attn.bias"));
  for (const char* name : {"transformer.h.0.attn.c_attn.bias", "transformer.h..attn.bias",
                           "transformer.h.x.attn.bias", "transformer.attn.bias", "attn.bias",
                           "transformer.h.0.attn.bias.weight", "transformer.h.1"}) {
    EXPECT_FALSE(is_buffer(gpt2, name)) << name;
  }
  const ModelConfig llama = Checkpoint(test::fixtures() / "hf_parity" / "llama").config();
  EXPECT_FALSE(is_buffer(llama, "lm_head.weight"));  // not tied
}

// Every tensor of every family that we read is claimed: nothing of a model is left out.
TEST(Certificate, EveryFamilyIsCertifiedWhole) {
  for (const fs::path& parent : {test::fixtures() / "hf_parity", test::fixtures() / "variants"}) {
    for (const auto& entry : fs::directory_iterator(parent)) {
      if (!entry.is_directory()) continue;
      SCOPED_TRACE(entry.path().string());
      const Checkpoint checkpoint(entry.path());
      const auto weights = named_weights(Decoder(checkpoint, {}));
      std::vector<std::string> names;
      for (const auto& item : weights) names.push_back(item.first);
      EXPECT_EQ(names, checkpoint.tensor_names());
    }
  }
}

}  // namespace
}  // namespace taskneuron
