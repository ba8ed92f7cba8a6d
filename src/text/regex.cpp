#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include <algorithm>

#include "taskneuron/base/error.h"

namespace taskneuron {

namespace {

// Steps of one search; the expressions of real tokenizers take tens per character.
constexpr std::uint32_t kMaxSteps = 1'000'000;
constexpr std::uint32_t kMaxHeapKiB = 64 << 10;
constexpr std::size_t kMaxPatternBytes = 1 << 16;

constexpr const char* kSpaces =
    R"(\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr const char* kWords = R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200c}\x{200d}\x{24b6}-\x{24e9})";

// Rewrites what PCRE2 reads differently: \s and \w differ in a few code points and are spelled out;
// a class within a class is a union in Rust and Oniguruma, so its brackets go.
std::string with_unicode_classes(const std::string& pattern, const std::string& where) {
  std::string result;
  int brackets = 0;
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (c == '\\' && i + 1 < pattern.size()) {
      const char escaped = pattern[++i];
      const char* members = (escaped == 's' || escaped == 'S')   ? kSpaces
                            : (escaped == 'w' || escaped == 'W') ? kWords
                                                                 : nullptr;
      const bool negated = escaped == 'S' || escaped == 'W';
      if (members != nullptr && brackets == 0) {
        result += fmt::format("[{}{}]", negated ? "^" : "", members);
      } else if (members != nullptr && !negated) {
        result += members;
      } else {
        result += c;
        result += escaped;
      }
      continue;
    }
    if (brackets > 0 && pattern.compare(i, 2, "[:") == 0) {  // a POSIX class, as it is
      const std::size_t end = std::min(pattern.find(":]", i), pattern.size() - 2) + 2;
      result += pattern.substr(i, end - i);
      i = end - 1;
      continue;
    }
    const bool nested = brackets > 0 && c == '[';
    if (nested && pattern.compare(i, 2, "[^") == 0) {
      throw Error(
          fmt::format("{}: regular expression '{}' is not supported: a negated class within "
                      "a class",
                      where, pattern));
    }
    const bool closes_nested = brackets > 1 && c == ']';
    if (c == '[' && (brackets == 0 || nested)) ++brackets;
    if (c == ']' && brackets > 0) --brackets;
    if (!nested && !closes_nested) result += c;
  }
  return result;
}

}  // namespace

void Regex::FreeCode::operator()(pcre2_real_code_8* code) const { pcre2_code_free(code); }
void Regex::FreeMatch::operator()(pcre2_real_match_data_8* match) const {
  pcre2_match_data_free(match);
}
void Regex::FreeContext::operator()(pcre2_real_match_context_8* context) const {
  pcre2_match_context_free(context);
}

Regex::Regex(const std::string& pattern, const std::string& where) : where_(where) {
  if (pattern.size() > kMaxPatternBytes) {
    throw Error(fmt::format("{}: a pattern of {} bytes; at most {} are read", where, pattern.size(),
                            kMaxPatternBytes));
  }
  const std::string expression = with_unicode_classes(pattern, where);
  int problem = 0;
  PCRE2_SIZE offset = 0;
  code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                            PCRE2_UTF | PCRE2_UCP, &problem, &offset, nullptr));
  if (!code_) {
    PCRE2_UCHAR message[200];
    pcre2_get_error_message(problem, message, sizeof(message));
    throw Error(fmt::format("{}: regular expression '{}' is not supported: {}", where, pattern,
                            reinterpret_cast<const char*>(message)));
  }
  pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);  // interpreted where there is no JIT
  match_.reset(pcre2_match_data_create_from_pattern(code_.get(), nullptr));
  context_.reset(pcre2_match_context_create(nullptr));
  pcre2_set_match_limit(context_.get(), kMaxSteps);
  pcre2_set_heap_limit(context_.get(), kMaxHeapKiB);
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;

std::pair<std::size_t, std::size_t> Regex::find(std::string_view text, std::size_t from) const {
  const int found = pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                from, PCRE2_NO_UTF_CHECK, match_.get(), context_.get());
  if (found == PCRE2_ERROR_NOMATCH) return {std::string_view::npos, std::string_view::npos};
  if (found < 0) {
    PCRE2_UCHAR message[200];
    pcre2_get_error_message(found, message, sizeof(message));
    throw Error(fmt::format("{}: the expression fails on a text of {} bytes: {}", where_,
                            text.size(), reinterpret_cast<const char*>(message)));
  }
  const PCRE2_SIZE* span = pcre2_get_ovector_pointer(match_.get());
  return {span[0], span[1]};
}

std::string regex_escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x80 && std::isalnum(static_cast<unsigned char>(c)) == 0) {
      escaped += '\\';
    }
    escaped += c;
  }
  return escaped;
}

}  // namespace taskneuron
