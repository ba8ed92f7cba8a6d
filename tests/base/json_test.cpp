#include "base/json.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/support.h"

namespace taskneuron {
namespace {

using test::error_of;
using test::TemporaryFolder;

OutputJson read_again(const std::string& text) {
  const TemporaryFolder folder;
  std::ofstream(folder / "a.json") << text;
  return read_output_json(folder / "a.json");
}

// Whether the Error of reading text from x.json holds the words.
bool says(const std::string& text, const std::string& words) {
  return error_of([&] { parse_json(text, "x.json"); }).find(words) != std::string::npos;
}

TEST(Json, ErrorsNameThePlace) {
  EXPECT_EQ(error_of([] { parse_json("{\"a\": }", "f.json"); }).rfind("f.json: not valid JSON", 0),
            0u);
  EXPECT_EQ(error_of([] { parse_json("{\n\"a\":\n}", "f.json"); }).rfind("f.json:3: not valid", 0),
            0u);
  EXPECT_NE(error_of([] { parse_json(std::string(100, '['), "f.json"); }).find("nested deeper"),
            std::string::npos);
  EXPECT_NE(error_of([] { parse_json("\"\xff\"", "f.json"); }).find("not valid JSON"),
            std::string::npos);
  const Json value = parse_json(R"({"size": "big", "list": [1, "x"]})", "f.json");
  const JsonView view(value, "f.json");
  EXPECT_EQ(error_of([&] { view.at("size").integer(); }),
            "f.json: 'size': expected an integer, found string \"big\"");
  EXPECT_EQ(error_of([&] { view.at("none"); }), "f.json: key 'none' is missing");
  EXPECT_EQ(error_of([&] { view.at("list").strings(); }),
            "f.json: 'list'[0]: expected a string, found number 1");
}

TEST(Json, ReadsEveryKindOfValue) {
  const std::string text = R"({"a": [1, -2, 3.5, "é", true, null], "b": {"c": {}}, "d": []})";
  const Json json = parse_json(text, "x");
  EXPECT_EQ(json, Json::parse(text));
  EXPECT_TRUE(json.at("a")[0].is_number_unsigned());
  EXPECT_EQ(parse_json("7", "x"), Json(7));
}

TEST(Json, KeysKeepTheirOrderWhereTheyAreWrittenAgain) {
  const std::string text = R"({"z":{"y":1,"x":[{"b":2,"a":3}]},"k":null})";
  EXPECT_EQ(json_text(read_again(text)), text);
}

TEST(Json, AKeyStandsOnce) {
  EXPECT_TRUE(
      says(R"({"a": {"k": 1, "l": 2, "k": 3}})", "x.json: an object holds the key 'k' twice"));
  EXPECT_NE(
      error_of([] { read_again(R"({"k": 1, "l": 2, "k": 3})"); }).find("holds the key 'k' twice"),
      std::string::npos);
}

TEST(Json, PlacesOfBrokenText) {
  EXPECT_TRUE(says("{\"a\": 1,\n \"b\": }", "x.json:2: not valid JSON"));
  EXPECT_TRUE(says("[1] 2", "x.json: not valid JSON"));
  EXPECT_TRUE(says("", "x.json: not valid JSON"));
  EXPECT_TRUE(says("1e999", "x.json: not valid JSON: number overflow"));
  EXPECT_TRUE(says("\"\xff\"", "UTF-8"));
  EXPECT_TRUE(says(std::string(65, '['), "nested deeper than 64 levels"));
}

// Reading takes time in proportion to the text, whatever it is made of.
TEST(Json, ManyObjectsInOne) {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) {
    text += (i > 0 ? ",\"k" : "\"k") + std::to_string(i) + "\":{\"a\":[]}";
  }
  text += "}";
  EXPECT_EQ(parse_json(text, "x").size(), 200'000u);
  EXPECT_EQ(read_again(text).size(), 200'000u);
}

}  // namespace
}  // namespace taskneuron
