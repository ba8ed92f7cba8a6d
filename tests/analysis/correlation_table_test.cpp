#include "taskneuron/analysis/correlation_table.h"

#include "support/support.h"
#include "taskneuron/base/statistics.h"

namespace taskneuron {
namespace {

using Maybe = std::optional<double>;

TEST(Bands, AreReadAsWritten) {
  const auto even = parse_bands({"3"}, 8);
  ASSERT_EQ(even.size(), 3u);
  EXPECT_EQ(band_name(even[0]), "layers 0-1");
  EXPECT_EQ(band_name(even[1]), "layers 2-4");
  EXPECT_EQ(band_name(even[2]), "layers 5-7");
  const auto named = parse_bands({"0-2", "7"}, 8);
  EXPECT_EQ(band_name(named[0]), "layers 0-2");
  EXPECT_EQ(band_name(named[1]), "layer 7");
  EXPECT_TRUE(parse_bands({}, 8).empty());
  for (const auto& wrong : std::vector<std::vector<std::string>>{
           {"0"}, {"9"}, {"0-8"}, {"2-1"}, {"0-3", "3-5"}, {"a-b"}, {"-1"}, {"0-"}}) {
    EXPECT_NE(test::error_of([&] { parse_bands(wrong, 8); }), "") << wrong.front();
  }
}

std::vector<CorrelatedRow> rows_of(const std::string& group, const std::vector<double>& x,
                                   const std::vector<double>& y) {
  std::vector<CorrelatedRow> rows;
  for (std::size_t i = 0; i < x.size(); ++i) {
    rows.push_back({group, {x[i]}, y[i], {Maybe(), x[i], -x[i], 2.0 * static_cast<double>(i % 3)}});
  }
  return rows;
}

TEST(CorrelationTable, CorrelatesEveryGroupAndTheMeanOfThem) {
  const std::vector<double> x = {1, 2, 3, 4, 5, 7};
  CorrelationRequest request;
  request.columns = {"similarity"};
  request.bands = {{0, 1}, {2, 3}};
  request.rows = rows_of("up", x, {1, 2, 2, 5, 4, 6});
  for (const CorrelatedRow& row : rows_of("down", x, {6, 5, 4, 1, 2, 1})) {
    request.rows.push_back(row);
  }
  for (const CorrelatedRow& row : rows_of("flat", x, {3, 3, 3, 3, 3, 3})) {
    request.rows.push_back(row);
  }
  request.rows.front().x = {Maybe()};
  const CorrelationTable table = correlation_table(request);
  ASSERT_EQ(table.groups.size(), 3u);
  const GroupCorrelations& up = table.groups[0];
  EXPECT_EQ(up.group, "up");
  EXPECT_EQ(up.columns[0].left_out, 1);
  EXPECT_NEAR(up.columns[0].pearson.value.value(), pearson({2, 3, 4, 5, 7}, {2, 2, 5, 4, 6}),
              1e-12);
  // The early band's value is that of layer 1, for layer 0 has none.
  EXPECT_EQ(up.columns[1].column, "layers 0-1");
  EXPECT_NEAR(up.columns[1].pearson.value.value(), pearson(x, {1, 2, 2, 5, 4, 6}), 1e-12);
  EXPECT_NEAR(up.late_minus_early->pearson.value.value(),
              *up.columns[2].pearson.value - *up.columns[1].pearson.value, 1e-12);
  const GroupCorrelations& flat = table.groups[2];
  EXPECT_EQ(flat.columns[0].pearson.no_value, "y is constant");
  EXPECT_EQ(flat.late_minus_early->spearman.no_value, "y is constant");
  EXPECT_FALSE(flat.columns[0].pearson.p_adjusted);

  // Two groups have a p: the corrected ones are of a family of two.
  const Correlation& down = table.groups[1].columns[0].pearson;
  EXPECT_GE(*down.p_adjusted, *down.p());
  EXPECT_LE(*down.p_adjusted, 2 * *down.p() + 1e-12);
  const OverGroups& mean_pearson = table.over_groups[0];
  EXPECT_EQ(mean_pearson.groups, 2);
  EXPECT_NEAR(mean_pearson.mean.value(), (*up.columns[0].pearson.value + *down.value) / 2, 1e-12);
  EXPECT_TRUE(mean_pearson.interval);
  EXPECT_EQ(table.over_groups.back().column, "late - early");
}

}  // namespace
}  // namespace taskneuron
