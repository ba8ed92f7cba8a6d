// SeqLoRA and O-LoRA, step by step, against a PyTorch program of the published formulations:
// tests/goldens/make_lora_steps.py.
#include "base/torch_compat.h"
#include "support/trained_model.h"
#include "taskneuron/checkpoint/safetensors.h"
#include "taskneuron/continual/adapter_orthogonality.h"

namespace taskneuron {
namespace {

// As the program has them.
constexpr std::int64_t kRank = 4;
constexpr double kAlpha = 8, kLearningRate = 5e-3, kDecay = 0.1, kLambda = 0.5;

struct Steps {
  std::vector<double> losses, penalties;
};

class LoraSteps : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  // The runs' model of a stage, its A as the golden's, its B zero.
  TrainableModel model_of(int stage, const std::vector<AdapterPtr>& earlier) const {
    TrainableOptions options;
    options.part = TrainedPart::kAdapters;
    options.lora.rank = kRank;
    options.lora.alpha = kAlpha;
    options.lora.targets = {"query", "value"};
    options.earlier_adapters = earlier;
    TrainableModel model = make_trainable(checkpoint_, decoder_, options);
    for (const AdapterPtr& adapter : model.adapters) {
      if (adapter->frozen) continue;
      adapter->a->master.copy_(golden_.tensor(start_of(stage, adapter->tensor)));
      adapter->a->store();
    }
    return model;
  }

  Steps train(TrainableModel& model, int stage, std::vector<StepTerm*> terms) const {
    const std::vector<AnswerExample> examples = examples_of(stage);
    TrainerOptions options;
    options.schedule.learning_rate = kLearningRate;
    options.schedule.steps = golden_.tensor("loss_first").numel();
    options.sampling.batch = static_cast<std::int64_t>(examples.size());
    options.adamw.weight_decay = kDecay;
    options.terms = std::move(terms);
    Trainer trainer(model, {{"stage", examples, {}}}, options);
    Steps steps;
    for (std::int64_t step = 1; step <= trainer.steps(); ++step) {
      const StepResult result = trainer.step(step);
      steps.losses.push_back(result.loss);
      steps.penalties.push_back(result.penalty.value_or(0));
    }
    return steps;
  }

  // Every step's number, each within the type's tolerance of the golden's.
  void check(const std::vector<double>& found, const std::string& name) const {
    const at::Tensor expected = golden_.tensor(name).to(at::kDouble);
    ASSERT_EQ(static_cast<std::int64_t>(found.size()), expected.numel());
    const double tolerance = GetParam() == at::kDouble ? 1e-6 : 1e-4;
    for (std::size_t i = 0; i < found.size(); ++i) {
      const double golden = expected.data_ptr<double>()[i];
      EXPECT_TRUE(std::abs(found[i] - golden) <= tolerance * golden)
          << name << ", step " << i + 1 << ": " << found[i] << " " << golden;
    }
  }

 private:
  // "model.layers.L.self_attn.q_proj.weight": A_<stage>_L_q.
  static std::string start_of(int stage, const std::string& tensor) {
    const std::string layers = "model.layers.", attention = ".self_attn.";
    const std::size_t end = tensor.find(attention);
    return "A_" + std::to_string(stage) + "_" + tensor.substr(layers.size(), end - layers.size()) +
           "_" + tensor.substr(end + attention.size(), 1);
  }

  std::vector<AnswerExample> examples_of(int stage) const {
    std::vector<AnswerExample> examples;
    const std::string own = std::to_string(stage) + "_";
    for (int e = 0; golden_.contains("ids_" + own + std::to_string(e)); ++e) {
      const at::Tensor ids = golden_.tensor("ids_" + own + std::to_string(e)).to(at::kLong);
      const auto* first = ids.data_ptr<std::int64_t>();
      examples.push_back({{first, first + ids.numel()},
                          golden_.tensor("answer_tokens_" + own + std::to_string(e)).item<int>()});
    }
    return examples;
  }

  SafetensorsFile golden_{test::fixtures() / "lora_steps/golden.safetensors"};
  Checkpoint checkpoint_{test::fixtures() / "hf_parity/llama"};
  Decoder decoder_{checkpoint_, {GetParam(), at::kCPU}};
};

TEST_P(LoraSteps, SeqLoraIsThePublishedProgram) {
  TrainableModel model = model_of(1, {});
  check(train(model, 1, {}).losses, "loss_first");
  check(train(model, 2, {}).losses, "loss_seqlora");
}

TEST_P(LoraSteps, OLoraIsThePublishedProgram) {
  TrainableModel first = model_of(1, {});
  train(first, 1, {});
  TrainableModel second = model_of(2, first.adapters);
  AdapterOrthogonality term(kLambda, AdapterPenalty::kAbsolute);
  const Steps steps = train(second, 2, {&term});
  check(steps.losses, "loss_o_lora");
  check(steps.penalties, "penalty_o_lora");
}

INSTANTIATE_TEST_SUITE_P(Types, LoraSteps, ::testing::Values(at::kFloat, at::kDouble));

}  // namespace
}  // namespace taskneuron
