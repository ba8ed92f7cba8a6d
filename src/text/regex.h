#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

struct pcre2_real_code_8;
struct pcre2_real_match_data_8;
struct pcre2_real_match_context_8;

namespace taskneuron {

// A compiled regular expression over valid UTF-8, with the Unicode classes of the Rust and
// Oniguruma expressions that tokenizer.json files carry (\s is White_Space, \w is UTS 18's).
// Not thread-safe: it keeps its match buffer.
class Regex {
 public:
  // where: named in the Error for an expression that does not compile.
  Regex(const std::string& pattern, const std::string& where);
  ~Regex();
  Regex(Regex&&) noexcept;

  // The first match at or after `from`, as [begin, end), or {npos, npos}. Throws Error where the
  // search takes more work than any sound expression on such a text.
  std::pair<std::size_t, std::size_t> find(std::string_view text, std::size_t from) const;

 private:
  struct FreeCode {
    void operator()(pcre2_real_code_8* code) const;
  };
  struct FreeMatch {
    void operator()(pcre2_real_match_data_8* match) const;
  };
  struct FreeContext {
    void operator()(pcre2_real_match_context_8* context) const;
  };
  std::string where_;
  std::unique_ptr<pcre2_real_code_8, FreeCode> code_;
  std::unique_ptr<pcre2_real_match_data_8, FreeMatch> match_;
  std::unique_ptr<pcre2_real_match_context_8, FreeContext> context_;
};

// The expression that matches exactly this text.
std::string regex_escape(std::string_view text);

}  // namespace taskneuron
