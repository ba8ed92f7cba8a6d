#include "text/token_decoder.h"

#include <fmt/format.h>

#include "text/byte_level.h"
#include "text/normalizer.h"
#include "text/pre_tokenizer.h"
#include "text/text_growth.h"
#include "text/unicode.h"

namespace taskneuron {

namespace {

using Tokens = std::vector<std::string>;

class ByteLevelDecoder : public TokenDecoder {
 public:
  Tokens decode(Tokens tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) bytes += bytes_of(token);
    return {lossy_utf8(bytes)};
  }

 private:
  // A token with a character outside the byte table (an added token) stands for itself.
  static std::string bytes_of(const std::string& token) {
    std::string bytes;
    for (std::size_t offset = 0; offset < token.size();) {
      const auto byte = character_byte(next_code_point(token, offset));
      if (!byte) return token;
      bytes += static_cast<char>(*byte);
    }
    return bytes;
  }
};

class ByteFallbackDecoder : public TokenDecoder {
 public:
  Tokens decode(Tokens tokens) const override {
    Tokens result;
    std::string bytes;
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (is_valid_utf8(bytes)) {
        result.push_back(bytes);
      } else {
        result.insert(result.end(), bytes.size(), "\uFFFD");
      }
      bytes.clear();
    };
    for (std::string& token : tokens) {
      if (const auto byte = fallback_byte(token)) {
        bytes += static_cast<char>(*byte);
      } else {
        flush();
        result.push_back(std::move(token));
      }
    }
    flush();
    return result;
  }

 private:
  static std::optional<unsigned char> fallback_byte(const std::string& token) {
    if (token.size() != 6 || token.compare(0, 3, "<0x") != 0 || token[5] != '>')
      return std::nullopt;
    unsigned value = 0;
    for (int i = 3; i < 5; ++i) {
      const char c = token[static_cast<std::size_t>(i)];
      if (std::isxdigit(static_cast<unsigned char>(c)) == 0) return std::nullopt;
      value = value * 16 + static_cast<unsigned>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return static_cast<unsigned char>(value);
  }
};

class FuseDecoder : public TokenDecoder {
 public:
  Tokens decode(Tokens tokens) const override {
    std::string joined;
    for (const std::string& token : tokens) joined += token;
    return {joined};
  }
};

class StripDecoder : public TokenDecoder {
 public:
  StripDecoder(std::string content, std::int64_t start, std::int64_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}
  Tokens decode(Tokens tokens) const override {
    for (std::string& token : tokens) {
      const std::size_t size = content_.size();
      std::size_t begin = 0, end = token.size();
      for (std::int64_t i = 0; i < start_ && token.compare(begin, size, content_) == 0; ++i) {
        begin += size;
      }
      for (std::int64_t i = 0;
           i < stop_ && end - begin >= size && token.compare(end - size, size, content_) == 0;
           ++i) {
        end -= size;
      }
      token = token.substr(begin, end - begin);
    }
    return tokens;
  }

 private:
  std::string content_;
  std::int64_t start_, stop_;
};

class ReplaceDecoder : public TokenDecoder {
 public:
  explicit ReplaceDecoder(std::unique_ptr<Normalizer> replace) : replace_(std::move(replace)) {}
  Tokens decode(Tokens tokens) const override {
    for (std::string& token : tokens) {
      const std::size_t limit = most_bytes(token.size());
      token = replace_->normalize(std::move(token), limit);
    }
    return tokens;
  }

 private:
  std::unique_ptr<Normalizer> replace_;
};

class MetaspaceDecoder : public TokenDecoder {
 public:
  MetaspaceDecoder(std::string replacement, bool prepended)
      : replacement_(std::move(replacement)), prepended_(prepended) {}
  Tokens decode(Tokens tokens) const override {
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      std::string text;
      for (std::size_t offset = 0; offset < tokens[i].size();) {
        if (tokens[i].compare(offset, replacement_.size(), replacement_) == 0) {
          if (i > 0 || !prepended_) text += ' ';
          offset += replacement_.size();
        } else {
          text += tokens[i][offset++];
        }
      }
      tokens[i] = std::move(text);
    }
    return tokens;
  }

 private:
  std::string replacement_;
  bool prepended_;
};

// What is taken away must be something.
std::string required_text(const JsonView& json) {
  std::string text = json.string();
  if (text.empty()) json.fail("is empty");
  return text;
}

class TokenDecoderSequence : public TokenDecoder {
 public:
  explicit TokenDecoderSequence(std::vector<std::unique_ptr<TokenDecoder>> steps)
      : steps_(std::move(steps)) {}
  Tokens decode(Tokens tokens) const override {
    for (const auto& step : steps_) tokens = step->decode(std::move(tokens));
    return tokens;
  }

 private:
  std::vector<std::unique_ptr<TokenDecoder>> steps_;
};

}  // namespace

std::unique_ptr<TokenDecoder> make_token_decoder(const std::optional<JsonView>& json) {
  if (!json) return nullptr;
  const std::string type = json->at("type").string();
  if (type == "ByteLevel") return std::make_unique<ByteLevelDecoder>();
  if (type == "ByteFallback") return std::make_unique<ByteFallbackDecoder>();
  if (type == "Fuse") return std::make_unique<FuseDecoder>();
  if (type == "Strip") {
    return std::make_unique<StripDecoder>(required_text(json->at("content")),
                                          json->integer_or("start", 0),
                                          json->integer_or("stop", 0));
  }
  if (type == "Replace") return std::make_unique<ReplaceDecoder>(make_normalizer(json));
  if (type == "Metaspace") {
    const bool prepended = json->string_or("prepend_scheme", "always") != "never" &&
                           json->boolean_or("add_prefix_space", true);
    return std::make_unique<MetaspaceDecoder>(metaspace_replacement(*json), prepended);
  }
  if (type == "Sequence") {
    std::vector<std::unique_ptr<TokenDecoder>> steps;
    for (const JsonView& step : json->at("decoders").array()) {
      steps.push_back(make_token_decoder(step));
    }
    return std::make_unique<TokenDecoderSequence>(std::move(steps));
  }
  json->fail(fmt::format("decoder '{}' is not supported", type));
}

}  // namespace taskneuron
