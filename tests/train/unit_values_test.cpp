#include "taskneuron/train/unit_values.h"

#include "base/torch_compat.h"
#include "support/support.h"

namespace taskneuron {
namespace {

Parameter units_of(const std::vector<std::int64_t>& units, double value) {
  Parameter parameter;
  parameter.tensor = "w";
  parameter.axis = 1;
  parameter.units = at::tensor(units, at::kLong);
  parameter.master = at::full({parameter.units.numel(), 2}, value);
  return parameter;
}

std::vector<double> first_column(const at::Tensor& values) {
  std::vector<double> column;
  for (std::int64_t i = 0; i < values.size(0); ++i) column.push_back(values[i][0].item<double>());
  return column;
}

std::map<std::string, at::Tensor> as_map(const NamedTensors& tensors) {
  return {tensors.begin(), tensors.end()};
}

TEST(UnitValues, AreFoundByUnitWhateverIsTrained) {
  UnitValues values;
  const Parameter first = units_of({2, 5}, 1), second = units_of({1, 5, 9}, 2),
                  part = units_of({1, 2}, 0), outside = units_of({2, 3}, 0);
  values.add_missing(first, first.master);
  EXPECT_TRUE(values.holds(first));
  EXPECT_FALSE(values.holds(second));
  values.add_missing(second, second.master);
  EXPECT_EQ(first_column(values.of(second)), std::vector<double>({2, 1, 2}));
  EXPECT_EQ(first_column(values.of(first)), std::vector<double>({1, 1}));
  EXPECT_EQ(first_column(values.of(part)), std::vector<double>({2, 1}));
  EXPECT_FALSE(values.holds(outside));
  EXPECT_EQ(first_column(values.of_or_zero(outside)), std::vector<double>({1, 0}));
  EXPECT_EQ(first_column(values.of_or_zero(units_of({0, 1, 20}, 0))),
            std::vector<double>({0, 2, 0}));
  values.put(second, second.master * 2);
  EXPECT_EQ(first_column(values.of(first)), std::vector<double>({1, 4}));
  Parameter other = units_of({2}, 0);
  other.first = 4;
  EXPECT_FALSE(values.holds(other));
  EXPECT_FALSE(values.knows(other));
  EXPECT_EQ(first_column(values.of_or_zero(other)), std::vector<double>({0}));
}

TEST(UnitValues, AreWrittenAndReadByName) {
  UnitValues values;
  const Parameter some = units_of({2, 5}, 1);
  Parameter whole;
  whole.tensor = "v";
  whole.master = at::full({3}, 7.0);
  values.put(some, some.master);
  values.put(whole, whole.master);
  const auto tensors = as_map(values.tensors("start."));
  EXPECT_EQ(tensors.count("start.w:1.units") + tensors.count("start.w:1.values") +
                tensors.count("start.v.values"),
            3u);
  EXPECT_EQ(tensors.size(), 3u);
  const UnitValues read = UnitValues::read(tensors, "start.");
  EXPECT_TRUE(at::equal(read.of(some), some.master));
  EXPECT_TRUE(at::equal(read.of(whole), whole.master));
}

TEST(UnitValues, WhatDoesNotFitIsNamed) {
  UnitValues values;
  const Parameter some = units_of({2, 5}, 1);
  values.put(some, some.master);
  Parameter whole = some;
  whole.units = at::Tensor();
  const std::string kept = test::error_of([&] { values.add_missing(whole, whole.master); });
  EXPECT_NE(kept.find("'w:1'"), std::string::npos) << kept;
  EXPECT_EQ(test::error_of([&] { values.of_or_zero(whole); }), kept);
  const auto problem = [&](const std::string& name, const at::Tensor& tensor) {
    auto tensors = as_map(values.tensors(""));
    tensors[name] = tensor;
    return test::error_of([&] { UnitValues::read(tensors, ""); });
  };
  EXPECT_NE(problem("w:1.units", at::tensor({5, 2}, at::kLong)).find("ascend"), std::string::npos);
  EXPECT_NE(problem("w:1.units", at::tensor({5}, at::kLong)).find("'w:1'"), std::string::npos);
  EXPECT_NE(problem("x.units", at::tensor({5}, at::kLong)).find("'x'"), std::string::npos);
  EXPECT_NE(problem("stray", at::ones({1})).find("'stray'"), std::string::npos);
}

}  // namespace
}  // namespace taskneuron
