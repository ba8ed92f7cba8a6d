#include "taskneuron/analysis/similarity.h"

#include <ATen/ATen.h>

#include <cmath>
#include <numeric>

#include "support/support.h"
#include "taskneuron/base/random.h"

namespace taskneuron {
namespace {

using Units = std::vector<std::int64_t>;
using Vector = std::vector<double>;

const std::set<SimilarityDefinition> kAll = {
    SimilarityDefinition::kMasked, SimilarityDefinition::kMean, SimilarityDefinition::kRanked};

Vector numbers(const at::Tensor& tensor) {
  const at::Tensor wide = tensor.to(at::kDouble).contiguous().view(-1);
  return {wide.data_ptr<double>(), wide.data_ptr<double>() + wide.numel()};
}

// What a unit of `act` owns, by the tensors' names: the definition once more, without our tables.
Vector unit_vector(const Checkpoint& checkpoint, const std::string& family, std::size_t layer,
                   std::int64_t unit) {
  Vector all;
  const auto append = [&](const at::Tensor& part) {
    const Vector values = numbers(part);
    all.insert(all.end(), values.begin(), values.end());
  };
  const std::string number = std::to_string(layer);
  if (family == "gpt2") {  // Conv1D lies as [in, out]
    const std::string mlp = "transformer.h." + number + ".mlp.";
    append(checkpoint.tensor(mlp + "c_fc.weight").select(1, unit));
    append(checkpoint.tensor(mlp + "c_proj.weight").select(0, unit));
    return all;
  }
  std::string mlp = "model.layers." + number + ".mlp.";
  if (family == "olmoe") {  // experts side by side
    const std::int64_t width = checkpoint.tensor(mlp + "experts.0.up_proj.weight").size(0);
    mlp += "experts." + std::to_string(unit / width) + ".";
    unit %= width;
  }
  if (family == "phi3") {  // gate over up in one matrix
    const at::Tensor both = checkpoint.tensor(mlp + "gate_up_proj.weight");
    append(both.select(0, unit));
    append(both.select(0, both.size(0) / 2 + unit));
  } else {
    append(checkpoint.tensor(mlp + "gate_proj.weight").select(0, unit));
    append(checkpoint.tensor(mlp + "up_proj.weight").select(0, unit));
  }
  append(checkpoint.tensor(mlp + "down_proj.weight").select(1, unit));
  return all;
}

double cosine(const Vector& a, const Vector& b) {
  const auto dot = [](const Vector& x, const Vector& y) {
    return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
  };
  return dot(a, b) / std::sqrt(dot(a, a) * dot(b, b));
}

// The whole layer as one vector, units outside the set zeroed.
Vector masked_vector(const std::vector<Vector>& units, const Units& chosen) {
  const std::size_t size = units.front().size();
  Vector all(units.size() * size, 0.0);
  for (const std::int64_t unit : chosen) {
    const auto u = static_cast<std::size_t>(unit);
    std::copy(units[u].begin(), units[u].end(),
              all.begin() + static_cast<std::ptrdiff_t>(u * size));
  }
  return all;
}

Vector mean_vector(const std::vector<Vector>& units, const Units& chosen) {
  Vector mean(units.front().size(), 0.0);
  for (const std::int64_t unit : chosen) {
    for (std::size_t i = 0; i < mean.size(); ++i) {
      mean[i] += units[static_cast<std::size_t>(unit)][i] / static_cast<double>(chosen.size());
    }
  }
  return mean;
}

Vector ranked_vector(const std::vector<Vector>& units, const Units& order) {
  Vector all;
  for (const std::int64_t unit : order) {
    const Vector& values = units[static_cast<std::size_t>(unit)];
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

// Random units of every layer but the `empty` one, and a random order of some.
SimilarityUnits random_units(const ModelConfig& config, std::uint64_t seed, std::int64_t empty) {
  Random random(seed, "units");
  SimilarityUnits result;
  NeuronSet::SiteUnits& site = result.set.sites[Site::kAct];
  site.width = config.ffn_width;
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    const std::int64_t size = layer == empty ? 0 : config.ffn_width / 3 + layer;
    site.units.push_back(random.sample(config.ffn_width, size));
    Units order = random.sample(config.ffn_width, 5);
    random.shuffle(order);
    result.order[Site::kAct].push_back(order);
  }
  return result;
}

std::filesystem::path model_of(const std::string& family) {
  return test::fixtures() / "hf_parity" / family;
}

std::vector<Vector> layer_units(const Checkpoint& checkpoint, const std::string& family,
                                std::size_t layer) {
  std::vector<Vector> units;
  for (std::int64_t unit = 0; unit < checkpoint.config().ffn_width; ++unit) {
    units.push_back(unit_vector(checkpoint, family, layer, unit));
  }
  return units;
}

// The same shape, other weights.
Checkpoint changed(const Checkpoint& checkpoint) {
  at::manual_seed(3);
  std::map<std::string, at::Tensor> tensors;
  for (const std::string& name : checkpoint.tensor_names()) {
    if (name.find(".mlp.") == std::string::npos) continue;
    const at::Tensor stored = checkpoint.tensor(name);
    tensors[name] = (stored + at::randn_like(stored) * 0.05).to(stored.scalar_type());
  }
  return checkpoint.with_replaced(tensors);
}

class Similarity : public testing::TestWithParam<std::string> {};

TEST_P(Similarity, IsWhatTheDefinitionsSay) {
  const Checkpoint model(model_of(GetParam()));
  const Checkpoint other = changed(model);
  const SimilarityUnits a = random_units(model.config(), 1, -1);
  const SimilarityUnits b = random_units(model.config(), 2, 1);
  for (const Checkpoint* second : {&model, &other}) {
    const auto found = unit_similarity({model, *second, {b, a}, {b}, kAll});
    ASSERT_EQ(found.size(), 2u);
    const UnitSimilarity& pair = found[1];
    double sum = 0, defined = 0;
    for (std::size_t layer = 0; layer < pair.masked->layers.size(); ++layer) {
      const auto units_a = layer_units(model, GetParam(), layer);
      const auto units_b = layer_units(*second, GetParam(), layer);
      const auto& order_a = a.order.at(Site::kAct)[layer];
      const auto& order_b = b.order.at(Site::kAct)[layer];
      EXPECT_NEAR(pair.ranked->layers[layer].value(),
                  cosine(ranked_vector(units_a, order_a), ranked_vector(units_b, order_b)), 1e-12);
      const Units& set_a = a.set.sites.at(Site::kAct).units[layer];
      const Units& set_b = b.set.sites.at(Site::kAct).units[layer];
      EXPECT_EQ(pair.masked->layers[layer].has_value(), !set_b.empty());
      EXPECT_EQ(pair.mean->layers[layer].has_value(), !set_b.empty());
      EXPECT_EQ(pair.overlap_only->layers[layer].has_value(), !set_b.empty());
      if (set_b.empty()) continue;
      const double masked = cosine(masked_vector(units_a, set_a), masked_vector(units_b, set_b));
      EXPECT_NEAR(*pair.masked->layers[layer], masked, 1e-12);
      EXPECT_NEAR(*pair.mean->layers[layer],
                  cosine(mean_vector(units_a, set_a), mean_vector(units_b, set_b)), 1e-12);
      const Vector ones(units_a.front().size(), 1);
      const std::vector<Vector> equal(units_a.size(), ones);
      EXPECT_NEAR(*pair.overlap_only->layers[layer],
                  cosine(masked_vector(equal, set_a), masked_vector(equal, set_b)), 1e-12);
      sum += masked;
      defined += 1;
    }
    EXPECT_NEAR(pair.masked->mean.value(), sum / defined, 1e-12);
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Similarity, testing::Values("gpt2", "llama", "phi3", "olmoe"));

TEST(Similarity, OfASetWithItselfIsOne) {
  const Checkpoint model(model_of("llama"));
  const SimilarityUnits a = random_units(model.config(), 1, -1);
  const auto found = unit_similarity({model, model, {a}, {a}, kAll}).front();
  for (const auto* one : {&found.masked, &found.overlap_only, &found.mean, &found.ranked}) {
    EXPECT_NEAR((*one)->mean.value(), 1, 1e-12);
  }
}

TEST(Similarity, FormsWhatIsAskedForAlone) {
  const Checkpoint model(model_of("llama"));
  const SimilarityUnits a = random_units(model.config(), 1, -1);
  const auto found =
      unit_similarity({model, model, {a}, {a}, {SimilarityDefinition::kMean}}).front();
  EXPECT_TRUE(found.mean);
  EXPECT_FALSE(found.masked || found.overlap_only || found.ranked);
}

// Of `out` a unit owns a row of the down projection's weight as it is stored.
TEST(Similarity, OfOutputsIsThatOfTheRowsOfTheDownProjection) {
  const Checkpoint model(model_of("llama"));
  const std::int64_t hidden = model.config().hidden;
  SimilarityUnits a, b;
  for (SimilarityUnits* side : {&a, &b}) side->set.sites[Site::kOut].width = hidden;
  for (std::int64_t layer = 0; layer < model.config().layers; ++layer) {
    a.set.sites[Site::kOut].units.push_back({0, 1, 2});
    b.set.sites[Site::kOut].units.push_back({2, 3});
  }
  const auto found = unit_similarity({model, model, {a}, {b}, {SimilarityDefinition::kMasked}});
  const at::Tensor squares =
      model.tensor("model.layers.0.mlp.down_proj.weight").to(at::kDouble).square().sum(1);
  const at::Tensor expected =
      squares[2] / (squares.narrow(0, 0, 3).sum() * squares.narrow(0, 2, 2).sum()).sqrt();
  EXPECT_NEAR(found[0].masked->layers[0].value(), expected.item<double>(), 1e-12);
}

TEST(Similarity, RefusesWhatDoesNotFit) {
  const Checkpoint llama(model_of("llama")), gpt2(model_of("gpt2"));
  const SimilarityUnits a = random_units(llama.config(), 1, -1);
  EXPECT_NE(test::error_of([&] {
              unit_similarity({llama, gpt2, {a}, {a}, kAll});
            }).find("between models of one shape"),
            std::string::npos);
  SimilarityUnits out;
  out.set.sites[Site::kOut].width = llama.config().hidden;
  out.set.sites[Site::kOut].units.resize(static_cast<std::size_t>(llama.config().layers));
  EXPECT_NE(test::error_of([&] {
              unit_similarity({llama, llama, {a}, {out}, {SimilarityDefinition::kMasked}});
            }).find("different sites"),
            std::string::npos);
}

TEST(Similarity, NamesAWeightThatIsNotFinite) {
  const test::TemporaryFolder folder;
  const std::string tensor = "model.layers.1.mlp.up_proj.weight";
  test::copy_damaged_model(model_of("llama"), folder / "model", tensor, std::nanf(""));
  const Checkpoint model(folder / "model");
  SimilarityUnits a = random_units(model.config(), 1, -1);
  a.set.sites[Site::kAct].units[1].front() = 0;
  EXPECT_NE(test::error_of([&] {
              unit_similarity({model, model, {a}, {a}, kAll});
            }).find(tensor),
            std::string::npos);
}

}  // namespace
}  // namespace taskneuron
