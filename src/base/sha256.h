#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace taskneuron {

// SHA-256 (FIPS 180-4) of bytes given in any number of pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();

  void update(const void* data, std::size_t bytes);
  void update(std::string_view text) { update(text.data(), text.size()); }
  // 64 lower-case hexadecimal digits. Call once, last.
  std::string hex();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

std::string sha256_hex(std::string_view text);

// "sha256:" and the digits of a file of any size.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace taskneuron
