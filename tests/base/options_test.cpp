#include "taskneuron/base/options.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/support.h"
#include "taskneuron/base/error.h"

namespace taskneuron {
namespace {

TEST(Options, SettingsAreWhatTheResultDependsOn) {
  bool fast = true;
  std::int64_t limit = 3;
  double rate = 0.5;
  std::string mode = "mean", file = "a.json";
  std::vector<std::string> targets = {"query", "value"};
  std::int64_t workers = 7;
  OptionList list;
  list.add("fast", &fast, Effect::kResult, "");
  list.add("limit", &limit, Effect::kResult, "").at_least(0);
  list.add("rate", &rate, Effect::kResult, "");
  list.add("mode", &mode, Effect::kResult, "");
  list.add("targets", &targets, Effect::kResult, "");
  list.add("file", &file, Effect::kInput, "");
  list.add("workers", &workers, Effect::kNone, "");
  limit = 9;  // places are read when they are asked for
  const std::map<std::string, Setting> expected = {{"fast", true},
                                                   {"limit", std::int64_t{9}},
                                                   {"rate", 0.5},
                                                   {"mode", std::string("mean")},
                                                   {"targets", std::string("query value")}};
  EXPECT_EQ(settings_of(list), expected);
}

TEST(Options, AListCanBeChangedByWhoUsesIt) {
  std::int64_t batch = 0, steps = 0;
  OptionList list;
  Option& first = list.add("batch", &batch, Effect::kNone, "");
  list.add("steps", &steps, Effect::kResult, "");
  first.required().between(1, 5);
  EXPECT_TRUE(list.at("batch").is_required);
  EXPECT_EQ(list.at("batch").maximum, 5);
  list.remove("batch");
  ASSERT_EQ(list.all().size(), 1u);
  EXPECT_EQ(list.all().front().name, "steps");
  list.add("batch", &batch, Effect::kResult, "");
  EXPECT_THROW(list.add("steps", &steps, Effect::kResult, ""), std::logic_error);
  EXPECT_THROW(list.at("unknown"), std::logic_error);
}

TEST(Options, ValuesAreCheckedForWhoeverSetsThem) {
  std::string file = "a";
  std::int64_t limit = 0, rank = 0;
  double share = 0.5;
  OptionList list;
  list.add("file", &file, Effect::kInput, "").required();
  list.add("limit", &limit, Effect::kResult, "").at_least(0);
  list.add("share", &share, Effect::kResult, "").between(0, 1);
  list.add("rank", &rank, Effect::kResult, "").at_least(1).without_default();
  check_values(list);  // rank 0: not given
  const auto problem = [&] { return test::error_of([&] { check_values(list); }); };
  share = 1.5;
  EXPECT_EQ(problem(), "`share` '1.5' is out of range; use a number between 0 and 1");
  share = std::nan("");
  EXPECT_NE(problem(), "");
  share = 1;
  limit = -1;
  EXPECT_EQ(problem(), "`limit` '-1' is out of range; use a number at least 0");
  limit = 0;
  rank = -2;
  EXPECT_NE(problem(), "");
  rank = 0;
  file = "";
  EXPECT_EQ(problem(), "`file` is required");
}

TEST(Options, MessagesNameOptionsForWhoeverShowsThem) {
  const UsageError error("random_kind", "all", "matched or uniform");
  EXPECT_STREQ(error.what(), "`random_kind` 'all' is unknown; use matched or uniform");
  EXPECT_EQ(error.option(), "random_kind");
  EXPECT_EQ(error.found(), "all");
  EXPECT_EQ(error.allowed(), "matched or uniform");
  const auto shown = [](const std::string& name) {
    return name == "random_kind" ? std::string("--random-kind") : std::string();
  };
  EXPECT_EQ(with_options_shown(error.what(), shown),
            "--random-kind 'all' is unknown; use matched or uniform");
  EXPECT_EQ(with_options_shown("see `inspect MODEL`, `random_kind` and one ` more", shown),
            "see `inspect MODEL`, --random-kind and one ` more");
}

}  // namespace
}  // namespace taskneuron
