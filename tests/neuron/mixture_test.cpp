// Scores of mixtures of experts, whose units exist at the tokens that go to their expert.
#include <fstream>

#include "base/file.h"
#include "support/support.h"
#include "taskneuron/checkpoint/model_config.h"
#include "taskneuron/checkpoint/safetensors.h"
#include "taskneuron/model/trainable.h"
#include "taskneuron/neuron/reference_activations.h"
#include "taskneuron/neuron/scorer.h"

namespace taskneuron {
namespace {

namespace fs = std::filesystem;

std::vector<AnswerExample> examples_of(const SafetensorsFile& golden) {
  std::vector<AnswerExample> examples;
  for (int e = 0; golden.contains("ids_" + std::to_string(e)); ++e) {
    const at::Tensor ids = golden.tensor("ids_" + std::to_string(e)).to(at::kLong);
    AnswerExample& example = examples.emplace_back();
    example.ids.assign(ids.data_ptr<std::int64_t>(), ids.data_ptr<std::int64_t>() + ids.numel());
    example.answer_tokens = golden.tensor("answer_tokens_" + std::to_string(e)).item<int>();
  }
  return examples;
}

class Mixture : public ::testing::TestWithParam<std::string> {
 protected:
  Mixture()
      : folder_(test::fixtures() / "hf_parity" / GetParam()),
        checkpoint_(folder_),
        decoder_(checkpoint_, {}),
        golden_(folder_ / "golden.safetensors"),
        examples_(examples_of(golden_)) {}

  Scores score(const ScoreOptions& options) const {
    return score_units(checkpoint_, decoder_, examples_, options, [](double, std::int64_t) {});
  }

  fs::path folder_;
  Checkpoint checkpoint_;
  Decoder decoder_;
  SafetensorsFile golden_;
  std::vector<AnswerExample> examples_;
};

TEST_P(Mixture, RelevanceIsTransformers) {
  EXPECT_CLOSE(score({}).relevance(Site::kAct, Aggregate::kExample),
               golden_.tensor("relevance_act"), 1e-4);
}

TEST_P(Mixture, ScoresDoNotDependOnBatches) {
  for (const std::string method :
       {"taylor", "gradient", "activation", "frequency", "integrated-gradients", "ablation"}) {
    SCOPED_TRACE(method);
    ScoreOptions together, apart;
    together.method = apart.method = method;
    together.aggregate = apart.aggregate = default_aggregate(method);
    together.sites = apart.sites = {Site::kAct, Site::kUp, Site::kGate, Site::kOut};
    if (method == "ablation") together.sites = apart.sites = {Site::kAct};
    apart.limits.max_examples = 1;
    const Scores one = score(apart), all = score(together);
    for (const Site site : together.sites) {
      SCOPED_TRACE(site_name(site));
      EXPECT_CLOSE(one.relevance(site), all.relevance(site), 1e-4);
    }
    if (method != "taylor" && method != "gradient") continue;
    together.recompute = true;
    EXPECT_CLOSE(score(together).relevance(Site::kAct), all.relevance(Site::kAct), 1e-5);
  }
}

// Rows of every expert, as a hook sees them.
class WatchHook : public NeuronHook {
 public:
  bool wants_observe(Site site, std::int64_t layer) const override {
    return site == Site::kAct && layer == 1;
  }
  bool wants_all_rows() const override { return true; }
  void observe(const SiteView& view) override {
    ASSERT_TRUE(view.rows.defined());
    ASSERT_EQ(view.rows.numel(), view.activation.size(0));
    std::int64_t end = 0;
    for (const RowSpan& span : *view.spans) {
      EXPECT_EQ(span.begin, end);
      end = span.end;
    }
    EXPECT_EQ(end, view.activation.size(0));
    shown += end;
    experts[view.first_unit].push_back(view.activation.clone());
  }
  std::int64_t shown = 0;
  std::map<std::int64_t, std::vector<at::Tensor>> experts;
};

TEST_P(Mixture, EveryTokenGoesToItsNumberOfExperts) {
  const at::NoGradGuard no_gradients;
  std::vector<test::TokenExample> texts;
  for (const AnswerExample& example : examples_) texts.push_back({example.ids, 1});
  const Batch batch = test::answer_batch(texts);
  WatchHook watch;
  decoder_.features(batch, watch);
  EXPECT_EQ(watch.shown, batch.tokens() * checkpoint_.config().mixture.per_token);
}

TEST_P(Mixture, MeansAreOfTheTokensThatGoToAnExpert) {
  std::vector<std::vector<std::int64_t>> texts;
  std::vector<test::TokenExample> fed;
  for (const AnswerExample& example : examples_) {
    fed.push_back({example.ids, 1});
    texts.emplace_back(example.ids.begin(), example.ids.end() - 1);  // what answer_batch feeds
  }
  ReferenceOptions options;
  options.sites = {Site::kAct};
  const ReferenceActivations found(decoder_, texts, options, [](std::int64_t) {});
  const at::NoGradGuard no_gradients;
  WatchHook watch;
  decoder_.features(test::answer_batch(fed), watch);
  for (const auto& [first, rows] : watch.experts) {
    const at::Tensor mean = at::cat(rows).mean(0);
    EXPECT_CLOSE(found.mean(Site::kAct, 1).narrow(0, first, mean.size(0)), mean, 1e-5);
  }
}

// Low-rank adapters are of every expert, each with its own.
TEST_P(Mixture, AdaptersAreOfEveryExpert) {
  TrainableOptions options;
  options.part = TrainedPart::kAdapters;
  options.lora.targets = {"gate", "up", "down"};
  const TrainableModel model = make_trainable(checkpoint_, decoder_, options);
  const ModelConfig& config = checkpoint_.config();
  EXPECT_EQ(static_cast<std::int64_t>(model.adapters.size()),
            config.layers * config.mixture.experts * 3);
}

INSTANTIATE_TEST_SUITE_P(Families, Mixture, ::testing::Values("mixtral", "olmoe", "qwen3_moe"),
                         [](const auto& family) { return family.param; });

// What config.json says of a mixture and what the tensors are must agree.
TEST(MixtureConfig, ExpertsThatTheTensorsAreNotAreRefused) {
  const fs::path folder = test::fixtures() / "hf_parity" / "mixtral";
  const auto error_with = [&](const std::string& was, const std::string& is) {
    const test::TemporaryFolder made;
    fs::copy(folder, made / "model");
    std::string text = read_file(folder / "config.json");
    const std::size_t at = text.find(was);
    EXPECT_NE(at, std::string::npos);
    std::ofstream(made / "model/config.json") << text.replace(at, was.size(), is);
    return test::error_of([&] { const Decoder decoder(Checkpoint(made / "model"), {}); });
  };
  EXPECT_NE(error_with("\"num_local_experts\": 4", "\"num_local_experts\": 5")
                .find("block_sparse_moe.gate.weight"),
            std::string::npos);
  EXPECT_NE(error_with("\"num_experts_per_tok\": 2", "\"num_experts_per_tok\": 5")
                .find("a mixture that takes 5 of 4 experts is not supported"),
            std::string::npos);
  EXPECT_NE(error_with("\"intermediate_size\": 24", "\"intermediate_size\": 25")
                .find("block_sparse_moe.experts.0.w1.weight"),
            std::string::npos);
}

// What a file claims takes memory before any tensor of it is looked for.
TEST(MixtureConfig, SizesAreBoundedTogether) {
  const auto error_of = [](const std::string& type, const std::string& more) {
    return test::error_of([&] {
      parse_model_config(R"({"model_type": ")" + type +
                             R"(", "num_hidden_layers": 16384, "hidden_size": 8,
             "intermediate_size": 1, "num_attention_heads": 1, "vocab_size": 8,
             "max_position_embeddings": 8, )" +
                             more + "}",
                         "config.json");
    });
  };
  EXPECT_NE(error_of("mixtral", R"("num_local_experts": 4096)")
                .find("a model of 16384 layers of 4096 experts of 1 units is not supported"),
            std::string::npos);
  EXPECT_NE(error_of("llama", R"("head_dim": 16777216)")
                .find("16384 layers that each turn 8388608 pairs is not supported"),
            std::string::npos);
}

}  // namespace
}  // namespace taskneuron
