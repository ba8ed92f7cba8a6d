#include <gtest/gtest.h>

#include "taskneuron/base/error.h"
#include "taskneuron/data/text_windows.h"

namespace taskneuron {
namespace {

using Ids = std::vector<std::int64_t>;

TEST(TextWindows, FirstTokenIsNotPredicted) {
  const TextWindows text = text_windows({1, 2, 3, 4, 5, 6, 7}, {}, 3);
  ASSERT_EQ(text.windows.size(), 2u);  // nothing could be predicted in a third
  EXPECT_EQ(text.windows[1].ids, (Ids{4, 5, 6}));
  EXPECT_EQ(text.windows[1].answer_tokens, 2);
  EXPECT_EQ(text.tokens, 7);
}

TEST(TextWindows, AllBeginAsTheModelsTextsDo) {
  const TextWindows text = text_windows({1, 2, 3, 4, 5}, {99}, 3);
  ASSERT_EQ(text.windows.size(), 3u);
  EXPECT_EQ(text.windows[0].ids, (Ids{99, 1, 2}));
  EXPECT_EQ(text.windows[0].answer_tokens, 2);
  EXPECT_EQ(text.windows[2].ids, (Ids{99, 5}));
  EXPECT_EQ(text.windows[2].answer_tokens, 1);
}

TEST(TextWindows, TooShort) {
  EXPECT_THROW(text_windows({1}, {}, 8), Error);
  EXPECT_THROW(text_windows({}, {99}, 8), Error);
  EXPECT_THROW(text_windows({1, 2, 3}, {}, 1), Error);
  EXPECT_THROW(text_windows({1, 2, 3}, {99}, 1), Error);
}

}  // namespace
}  // namespace taskneuron
