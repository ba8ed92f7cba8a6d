#include "base/plain_name.h"

#include <gtest/gtest.h>

namespace taskneuron {
namespace {

TEST(PlainName, IsOneThatStaysInItsFolder) {
  for (const char* const good : {"sst2", "a b", "é", "..a", "a.b"})
    EXPECT_EQ(problem_of_name(good), "");
  for (const char* const bad : {"", ".", "..", "a/b", "/a", "a\nb", "a\x7f",
                                "\xc2\x9b"
                                "2J"}) {
    EXPECT_NE(problem_of_name(bad), "") << bad;
  }
  EXPECT_NE(problem_of_name(std::string(129, 'a')), "");
}

TEST(PlainName, WhatATerminalWouldObeyIsShown) {
  EXPECT_EQ(shown("a\x1b[2Jb\r\nc\td"), "a\\x1b[2Jb\\x0d c\\x09d");
  EXPECT_EQ(shown("\xc2\x9b"
                  "2J \xc2\xa0 é \x7f"),
            "\\x9b2J \xc2\xa0 é \\x7f");
  EXPECT_EQ(shown(std::string("a\0b\xc2", 4)), "a\\x00b\xc2");
}

}  // namespace
}  // namespace taskneuron
