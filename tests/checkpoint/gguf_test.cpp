#include "taskneuron/checkpoint/gguf.h"

#include <cstring>
#include <functional>

#include "base/file.h"
#include "checkpoint/gguf_header.h"
#include "checkpoint/gguf_types.h"
#include "support/support.h"
#include "taskneuron/base/error.h"
#include "taskneuron/checkpoint/safetensors.h"

namespace taskneuron {
namespace {

// Goldens of the Python package gguf, from tests/goldens/make_gguf.py.
TEST(GgufTypes, NumbersAreThoseOfThePythonPackageToTheLastBit) {
  const SafetensorsFile golden(test::fixtures() / "gguf" / "types.safetensors");
  for (std::uint32_t code = 0; code < 64; ++code) {
    const GgufType* type = gguf_type(code);
    if (type == nullptr) continue;
    SCOPED_TRACE(type->name);
    const at::Tensor blocks = golden.tensor(std::string("blocks_") + type->name);
    const at::Tensor wanted = golden.tensor(std::string("values_") + type->name);
    ASSERT_EQ(blocks.numel() / type->bytes * type->block, wanted.numel());
    std::vector<float> found(static_cast<std::size_t>(wanted.numel()));
    type->dequantize(static_cast<const std::byte*>(blocks.data_ptr()), blocks.numel() / type->bytes,
                     found.data());
    EXPECT_EQ(std::memcmp(found.data(), wanted.data_ptr(), found.size() * sizeof(float)), 0);
  }
}

// ---- tensors ----

TEST(GgufFile, RowsAreThoseOfTheTensorAndAnEmbeddingIsMadeInSlices) {
  const GgufFile file(test::fixtures() / "gguf" / "llama.gguf");
  const at::Tensor whole = file.tensor("token_embd.weight");
  const test::TemporaryFolder folder;
  TensorSource sliced{"t", at::kFloat, whole.sizes().vec(), {}};
  for (std::int64_t begin = 0; begin < whole.size(0); begin += 70) {
    const std::int64_t end = std::min<std::int64_t>(begin + 70, whole.size(0));
    EXPECT_TRUE(
        at::equal(file.rows("token_embd.weight", begin, end), whole.narrow(0, begin, end - begin)));
    sliced.make_slices.push_back(
        [&, begin, end] { return file.rows("token_embd.weight", begin, end); });
  }
  write_safetensors(folder / "sliced.safetensors", std::vector<TensorSource>{sliced}, {});
  write_safetensors(folder / "whole.safetensors", NamedTensors{{"t", whole}}, {});
  EXPECT_EQ(read_file(folder / "sliced.safetensors"), read_file(folder / "whole.safetensors"));
}

// ---- headers ----

void put_bytes(std::string& file, const void* data, std::size_t bytes) {
  file.append(static_cast<const char*>(data), bytes);
}
template <typename T>
void put(std::string& file, T value) {
  put_bytes(file, &value, sizeof(value));
}
void put_text(std::string& file, const std::string& text) {
  put<std::uint64_t>(file, text.size());
  file += text;
}

struct TensorClaim {
  std::string name = "w";
  std::vector<std::uint64_t> sizes = {4, 2};  // innermost first, as the file has them
  std::uint32_t type = 0;
  std::uint64_t offset = 0;
};

// A file of some metadata and tensors, and 64 bytes of data.
std::string file_with(const std::vector<TensorClaim>& tensors, const std::string& metadata = "",
                      std::uint64_t values = 0) {
  std::string file = "GGUF";
  put<std::uint32_t>(file, 3);
  put<std::uint64_t>(file, tensors.size());
  put<std::uint64_t>(file, values);
  file += metadata;
  for (const TensorClaim& tensor : tensors) {
    put_text(file, tensor.name);
    put<std::uint32_t>(file, static_cast<std::uint32_t>(tensor.sizes.size()));
    for (const std::uint64_t size : tensor.sizes) put(file, size);
    put(file, tensor.type);
    put(file, tensor.offset);
  }
  file.append((32 - file.size() % 32) % 32, '\0');
  file.append(64, 'x');
  return file;
}

std::string error_of_file(const std::string& file) {
  return test::error_of([&] { parse_gguf_header(file, "m.gguf"); });
}

TEST(GgufHeader, TensorsLieWhereTheFileSays) {
  const std::string file = file_with({{"a", {4, 2}, 0, 32}, {"b", {4, 3}, 1}});
  const GgufHeader header = parse_gguf_header(file, "m.gguf");
  EXPECT_EQ(header.tensors.at("a").shape, (std::vector<std::int64_t>{2, 4}));
  EXPECT_EQ(header.tensors.at("b").shape, (std::vector<std::int64_t>{3, 4}));
  EXPECT_EQ(header.tensors.at("b").end - header.tensors.at("b").begin, 24u);
  EXPECT_EQ(header.tensors.at("a").begin - header.tensors.at("b").begin, 32u);
  EXPECT_EQ(header.tensors.at("a").end, file.size());
}

TEST(GgufHeader, EveryPrefixOfAFileIsRefused) {
  std::string metadata;
  put_text(metadata, "list");
  put<std::uint32_t>(metadata, 9);
  put<std::uint32_t>(metadata, 8);
  put<std::uint64_t>(metadata, 2);
  put_text(metadata, "one");
  put_text(metadata, "two");
  const std::string whole = file_with({{"a"}, {"b", {8}, 0, 32}}, metadata, 1);
  const GgufHeader header = parse_gguf_header(whole, "m.gguf");
  EXPECT_EQ(header.metadata.strings("list"), (std::vector<std::string_view>{"one", "two"}));
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_NE(error_of_file(whole.substr(0, length)).find("m.gguf"), std::string::npos) << length;
  }
}

TEST(GgufHeader, WrongClaimsAreNamed) {
  const auto expect = [](const std::string& file, const std::string& message) {
    const std::string found = error_of_file(file);
    EXPECT_NE(found.find(message), std::string::npos) << found;
    EXPECT_EQ(found.rfind("m.gguf", 0), 0u) << found;
  };
  constexpr std::uint64_t kHuge = ~std::uint64_t{0} / 2;
  expect("GGML" + std::string(60, '\0'), "does not begin with GGUF");
  expect(file_with({{"w", {4, 2}, 0, 48}}), "tensor 'w' ends beyond the file");
  expect(file_with({{"w", {kHuge, kHuge}}}), "tensor 'w' has a dimension");
  expect(file_with({{"w", {kHuge}}}), "tensor 'w' is larger than any file");
  expect(file_with({{"w", {0}}}), "tensor 'w' has a dimension of 0");
  expect(file_with({{"w", {}}}), "tensor 'w' claims 0 dimensions");
  expect(file_with({{"w", {4, 2, 1, 1, 1}}}), "tensor 'w' claims 5 dimensions");
  expect(file_with({{"w", {4}, 16}}), "tensor 'w' has the type IQ2_XXS, which is not read");
  expect(file_with({{"w", {4}, 999}}), "tensor 'w' has the type 999, which is not read");
  expect(file_with({{"w", {31}, 8}}), "rows of 31 numbers, which are no whole blocks of Q8_0");
  expect(file_with({{"w"}, {"w"}}), "tensor 'w' is there twice");
  expect(file_with({{"v"}, {"w", {4}, 0, 16}}), "tensor 'w' begins at byte");
  expect(file_with({{"v", {4}, 0, 16}}), "tensor 'v' begins at byte");
  std::string list;
  put_text(list, "long");
  put<std::uint32_t>(list, 9);
  put<std::uint32_t>(list, 4);
  put<std::uint64_t>(list, kHuge);
  expect(file_with({}, list, 1), "'long' claims");
  std::string twice;
  for (int i = 0; i < 2; ++i) {
    put_text(twice, "key");
    put<std::uint32_t>(twice, 4);
    put<std::uint32_t>(twice, 7);
  }
  expect(file_with({}, twice, 2), "'key': is there twice");
  std::string unknown;
  put_text(unknown, "key");
  put<std::uint32_t>(unknown, 77);
  expect(file_with({}, unknown, 1), "'key' has a value of the unknown type 77");
}

TEST(GgufHeader, MetadataOfAnotherTypeIsNamed) {
  std::string metadata;
  put_text(metadata, "key");
  put<std::uint32_t>(metadata, 6);
  put<float>(metadata, 1.5f);
  const std::string file = file_with({}, metadata, 1);
  const GgufHeader header = parse_gguf_header(file, "m.gguf");
  EXPECT_EQ(header.metadata.number("key"), 1.5);
  EXPECT_EQ(test::error_of([&] { header.metadata.integer("key"); }),
            "m.gguf: 'key': expected an integer");
  EXPECT_EQ(test::error_of([&] { header.metadata.string("other"); }),
            "m.gguf: 'other': is missing");
}

}  // namespace
}  // namespace taskneuron
