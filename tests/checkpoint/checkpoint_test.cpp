#include <fstream>

#include "base/file.h"
#include "support/support.h"
#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/model/decoder.h"

namespace taskneuron {
namespace {

using test::error_of;
using test::TemporaryFolder;

// A safetensors file with this header and so many zero bytes of data.
void write_raw(const std::filesystem::path& path, const std::string& header, std::size_t data_bytes,
               std::int64_t claimed_header = -1) {
  std::ofstream file(path, std::ios::binary);
  const std::uint64_t length =
      claimed_header < 0 ? header.size() : static_cast<std::uint64_t>(claimed_header);
  for (int i = 0; i < 8; ++i) file.put(static_cast<char>(length >> (8 * i)));
  file << header << std::string(data_bytes, '\0');
}

std::string tensor_json(const std::string& name, const std::string& shape, int begin, int end,
                        const std::string& dtype = "F32") {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape +
         ",\"data_offsets\":[" + std::to_string(begin) + "," + std::to_string(end) + "]}";
}

TEST(Safetensors, RoundTripsEveryDtype) {
  const TemporaryFolder folder;
  const at::Tensor a = at::randn({3, 5}), b = a.to(at::kBFloat16), c = a.to(at::kHalf).t();
  const at::Tensor d = at::arange(7), e = at::randn({2, 2}, at::kDouble);
  write_safetensors(folder / "x.safetensors", {{"a", a}, {"b", b}, {"c", c}, {"d", d}, {"e", e}},
                    {{"key", "value"}});
  const SafetensorsFile file(folder / "x.safetensors");
  EXPECT_EQ(file.metadata().at("key"), "value");
  for (const auto& [name, tensor] :
       NamedTensors{{"a", a}, {"b", b}, {"c", c}, {"d", d}, {"e", e}}) {
    EXPECT_TRUE(file.tensor(name).equal(tensor)) << name;
    EXPECT_EQ(file.tensor(name).scalar_type(), tensor.scalar_type());
  }
}

TEST(Safetensors, ToleratesGapsAndOddAlignment) {
  const TemporaryFolder folder;
  write_raw(folder / "x.safetensors",
            "{" + tensor_json("a", "[2]", 1, 9) + "," + tensor_json("b", "[1]", 20, 24) + "} ", 30);
  const SafetensorsFile file(folder / "x.safetensors");
  EXPECT_TRUE(file.tensor("a").equal(at::zeros({2})));
  EXPECT_TRUE(file.tensor("b").equal(at::zeros({1})));
}

TEST(Safetensors, RefusesHostileHeaders) {
  const TemporaryFolder folder;
  const auto path = folder / "x.safetensors";
  const auto problem = [&](const std::string& header, std::size_t bytes,
                           std::int64_t claimed = -1) {
    write_raw(path, header, bytes, claimed);
    const std::string message = error_of([&] { SafetensorsFile{path}; });
    EXPECT_EQ(message.rfind(path.string(), 0), 0u) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
    return message;
  };
  const auto expect = [](const std::string& message, const char* part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  write_file(path, "abc");
  expect(error_of([&] { SafetensorsFile{path}; }), "too short");
  write_file(path, "{\n  \"format\": \"taskneuron.set/1\"\n}");
  EXPECT_EQ(error_of([&] { SafetensorsFile(path, "a score file"); }),
            path.string() + ": is JSON; expected a score file");
  write_file(path, "text,stars\n");
  expect(error_of([&] { SafetensorsFile{path}; }), "is text; expected a safetensors file");
  write_file(path, "version https://git-lfs.github.com/spec/v1\noid sha256:00\n");
  expect(error_of([&] { SafetensorsFile{path}; }), "is a pointer of Git LFS");
  expect(problem("{}", 0, 1 << 20), "claims a header of");
  expect(problem("{}", 0, INT64_MAX), "claims a header of");
  expect(problem("{" + tensor_json("w", "[4]", 0, 16) + "}", 8),
         "tensor 'w': claims bytes [0, 16)");
  expect(problem("{" + tensor_json("w", "[4]", 16, 0) + "}", 16), "claims bytes [16, 0)");
  expect(problem("{" + tensor_json("w", "[4]", 0, 12) + "}", 16), "needs 16 bytes");
  expect(
      problem("{" + tensor_json("w", "[4611686018427387904,4611686018427387904]", 0, 16) + "}", 16),
      "overflows");
  expect(problem("{" + tensor_json("w", "[-1]", 0, 4) + "}", 16), "expected a size");
  expect(
      problem("{" + tensor_json("v", "[2]", 0, 8) + "," + tensor_json("w", "[2]", 4, 12) + "}", 16),
      "'v' and 'w' overlap");
  expect(problem("{" + tensor_json("w", "[4]", 0, 16, "F8_E4M3") + "}", 16), "not supported");
  expect(problem("[1]", 4), "expected an object");
  expect(problem("{\"w\":3}", 4), "tensor 'w'");
  expect(problem("{\"w\":", 4), "not valid JSON");
}

// A copy of a fixture's model folder that a test may damage.
class DamagedFolder {
 public:
  explicit DamagedFolder(const std::string& family = "llama") {
    std::filesystem::copy(test::fixtures() / "hf_parity" / family, folder_.path(),
                          std::filesystem::copy_options::recursive);
  }
  std::string replace_in_config(const std::string& from, const std::string& to) {
    std::string text = read_file(folder_ / "config.json");
    const auto at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    write_file(folder_ / "config.json", text.replace(at, from.size(), to));
    return error_of([&] { Decoder{Checkpoint(folder_.path()), {}}; });
  }
  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

TEST(Config, ErrorsNameFileAndKey) {
  const auto expect = [](const std::string& message, const char* part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_NE(message.find("config.json"), std::string::npos) << message;
  };
  expect(DamagedFolder().replace_in_config("\"hidden_size\"", "\"hidden_sise\""),
         "key 'hidden_size' is missing");
  expect(DamagedFolder().replace_in_config("\"hidden_size\": 64", "\"hidden_size\": \"64\""),
         "'hidden_size': expected an integer");
  expect(DamagedFolder().replace_in_config("\"num_attention_heads\": 4",
                                           "\"num_attention_heads\": -4"),
         "expected a size between");
  expect(DamagedFolder().replace_in_config("\"num_hidden_layers\": 3",
                                           "\"num_hidden_layers\": 16000000"),
         "expected at most 16384 layers, found 16000000");
  expect(DamagedFolder().replace_in_config("\"model_type\": \"llama\"", "\"model_type\": \"t5\""),
         "model_type 't5' is not supported; supported are gpt2");
  expect(DamagedFolder().replace_in_config("\"hidden_act\": \"silu\"", "\"hidden_act\": \"mish\""),
         "activation 'mish' is not supported");
  expect(
      DamagedFolder().replace_in_config(
          "\"rope_scaling\": null", "\"rope_scaling\": {\"rope_type\": \"newer\", \"factor\": 2}"),
      "rope type 'newer' is not supported");
  expect(DamagedFolder("gpt2").replace_in_config("\"scale_attn_by_inverse_layer_idx\": false",
                                                 "\"scale_attn_by_inverse_layer_idx\": true"),
         "'scale_attn_by_inverse_layer_idx': true is not supported");
  expect(
      DamagedFolder().replace_in_config("\"intermediate_size\": 88", "\"intermediate_size\": 90"),
      "has shape [88, 64]; config.json makes it [90, 64]");
}

TEST(Checkpoint, NamesWhatIsMissing) {
  const TemporaryFolder empty;
  EXPECT_NE(error_of([&] { Checkpoint{empty / "none"}; }).find("no such model folder"),
            std::string::npos);
  EXPECT_NE(error_of([&] { Checkpoint{empty.path()}; }).find("config.json"), std::string::npos);
  const DamagedFolder damaged;
  std::filesystem::remove(damaged.path() / "model.safetensors");
  EXPECT_NE(error_of([&] { Checkpoint{damaged.path()}; }).find("neither model.safetensors nor"),
            std::string::npos);
  const Checkpoint whole(test::fixtures() / "hf_parity" / "llama");
  NamedTensors tensors;
  for (const std::string& name : whole.tensor_names()) {
    if (name != "model.layers.1.mlp.up_proj.weight") tensors.emplace_back(name, whole.tensor(name));
  }
  write_safetensors(damaged.path() / "model.safetensors", tensors, {});
  EXPECT_NE(error_of([&] {
              Decoder{Checkpoint(damaged.path()), {}};
            }).find("tensor 'model.layers.1.mlp.up_proj.weight' is missing"),
            std::string::npos);
}

TEST(Checkpoint, RefusesWeightsOfAnotherKind) {
  const DamagedFolder damaged;
  const Checkpoint whole(test::fixtures() / "hf_parity" / "llama");
  NamedTensors tensors;
  for (const std::string& name : whole.tensor_names()) {
    const bool changed = name == "model.norm.weight";
    tensors.emplace_back(name, changed ? whole.tensor(name).to(at::kInt) : whole.tensor(name));
  }
  write_safetensors(damaged.path() / "model.safetensors", tensors, {});
  EXPECT_NE(error_of([&] {
              Decoder{Checkpoint(damaged.path()), {}};
            }).find("tensor 'model.norm.weight' has dtype Int; weights must be F32, F16 or BF16"),
            std::string::npos);
}

TEST(Checkpoint, ReadsShardsAsOneFile) {
  const Checkpoint whole(test::fixtures() / "hf_parity" / "llama");
  const DamagedFolder sharded;
  std::filesystem::remove(sharded.path() / "model.safetensors");
  NamedTensors shards[2];
  std::string index = "{\"weight_map\": {";
  int next = 0;
  for (const std::string& name : whole.tensor_names()) {
    shards[next % 2].emplace_back(name, whole.tensor(name));
    index += (next > 0 ? "," : "") +
             ("\"" + name + "\": \"part" + std::to_string(next % 2) + ".safetensors\"");
    ++next;
  }
  for (int i = 0; i < 2; ++i) {
    write_safetensors(sharded.path() / ("part" + std::to_string(i) + ".safetensors"), shards[i],
                      {});
  }
  write_file(sharded.path() / "model.safetensors.index.json", index + "}}");
  const Checkpoint checkpoint(sharded.path());
  EXPECT_EQ(checkpoint.tensor_names(), whole.tensor_names());
  for (const std::string& name : whole.tensor_names()) {
    EXPECT_TRUE(checkpoint.tensor(name).equal(whole.tensor(name))) << name;
  }
  write_file(sharded.path() / "model.safetensors.index.json",
             "{\"weight_map\": {\"a\": \"../part0.safetensors\"}}");
  EXPECT_NE(error_of([&] { Checkpoint{sharded.path()}; }).find("is not a file name"),
            std::string::npos);
}

TEST(Checkpoint, Gpt2LoadsWithAndWithoutPrefix) {
  const DamagedFolder bare("gpt2");
  const Checkpoint whole(test::fixtures() / "hf_parity" / "gpt2");
  NamedTensors tensors;
  for (const std::string& name : whole.tensor_names()) {
    tensors.emplace_back(name.substr(std::string("transformer.").size()), whole.tensor(name));
  }
  write_safetensors(bare.path() / "model.safetensors", tensors, {});
  NeuronHook none;
  const at::NoGradGuard no_gradients;
  const Batch batch = test::answer_batch({{{1, 2, 3, 4}, 2}}, true);
  const Decoder with(whole, {}), without(Checkpoint(bare.path()), {});
  EXPECT_TRUE(
      with.logits(with.features(batch, none)).equal(without.logits(without.features(batch, none))));
}

TEST(Checkpoint, SavesWhatItRead) {
  const TemporaryFolder folder;
  const Checkpoint base(test::fixtures() / "end_to_end" / "gpt2" / "model");
  const std::string changed = "transformer.h.0.mlp.c_fc.bias";
  save_model(base, folder / "out",
             {{{changed, at::ones_like(base.tensor(changed))}}, std::nullopt, nullptr});
  const Checkpoint saved(folder / "out");
  for (const std::string& name : base.tensor_names()) {
    const at::Tensor expected =
        name == changed ? at::ones_like(base.tensor(name)) : base.tensor(name);
    EXPECT_TRUE(saved.tensor(name).equal(expected)) << name;
  }
  EXPECT_TRUE(std::filesystem::exists(folder / "out/tokenizer.json"));
  EXPECT_NE(saved.hash(), base.hash());
  EXPECT_NE(error_of([&] { save_model(base, folder / "out", {}); }).find("exists already"),
            std::string::npos);
}

TEST(Checkpoint, FindsNonFiniteWeights) {
  const Checkpoint base(test::fixtures() / "hf_parity" / "llama");
  EXPECT_EQ(base.first_non_finite(), "");
  const TemporaryFolder folder;
  const std::string name = "model.layers.1.mlp.down_proj.weight";
  test::copy_damaged_model(base.folder(), folder / "out", name,
                           std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(Checkpoint(folder / "out").first_non_finite(), name);
}

}  // namespace
}  // namespace taskneuron
