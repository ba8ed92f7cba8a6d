#include "evaluate/result_rows.h"

#include "support/support.h"

namespace taskneuron {
namespace {

JsonView view(const Json& document) { return JsonView(document, "rows.jsonl:1"); }

TEST(ResultRows, PredictionsReadBackAsTheyWereWritten) {
  Prediction ranked;
  ranked.index = 7;
  ranked.score = 1;
  ranked.loss = 0.25;
  ranked.scores = {-0.5, -1.5};
  ranked.gold = 0;
  const Json ranked_row = prediction_row(ranked, find_metric("accuracy"));
  const Prediction same = read_prediction_row(view(ranked_row));
  EXPECT_EQ(same.index, 7);
  EXPECT_EQ(same.score, 1);
  EXPECT_EQ(same.loss, 0.25);
  EXPECT_EQ(same.scores, ranked.scores);
  EXPECT_EQ(same.gold, 0);

  Prediction generated;
  generated.prediction = "a text";
  generated.score = 0.375;
  const Json generated_row = prediction_row(generated, find_metric("rougeL"));
  EXPECT_FALSE(generated_row.contains("correct"));
  EXPECT_EQ(read_prediction_row(view(generated_row)).score, 0.375);
}

TEST(ResultRows, RefusesALabelThatIsNotRanked) {
  Prediction prediction;
  prediction.scores = {-0.5, -1.5};
  prediction.gold = 2;
  const Json row = prediction_row(prediction, find_metric("accuracy"));
  EXPECT_EQ(test::error_of([&] { read_prediction_row(view(row)); }),
            "rows.jsonl:1: label 2 is none of 2");
}

TEST(ResultRows, ResultsReadBackAsTheyWereWritten) {
  TaskResult result;
  result.task = "babi";
  result.split = "test";
  result.metric = find_metric("accuracy");
  result.value = 0.5;
  result.standard_error = 0.125;
  result.loss = 1.75;
  result.examples = 12;
  const Json row = result_row(result);
  const TaskResult same = read_result_row(view(row));
  EXPECT_EQ(result_row(same), result_row(result));
  EXPECT_EQ(same.examples, 12);
}

TEST(ResultRows, WritesOneLineAPredictionBehindItsKey) {
  const test::TemporaryFolder folder;
  TaskResult result;
  result.metric = find_metric("rougeL");
  result.predictions.resize(2);
  result.predictions[1].index = 1;
  result.predictions[1].prediction = "half a character: \xc3";
  AtomicFile file(folder / "rows.jsonl");
  write_predictions(file, {{"task", "babi"}, {"set", nullptr}}, result);
  file.commit();
  EXPECT_EQ(
      read_file(folder / "rows.jsonl"),
      "{\"task\":\"babi\",\"set\":null,\"index\":0,\"prediction\":\"\",\"reference\":\"\","
      "\"score\":0.0,\"loss\":0.0,\"metric\":\"rougeL\"}\n"
      "{\"task\":\"babi\",\"set\":null,\"index\":1,\"prediction\":\"half a character: "
      "\xef\xbf\xbd\",\"reference\":\"\",\"score\":0.0,\"loss\":0.0,\"metric\":\"rougeL\"}\n");
}

}  // namespace
}  // namespace taskneuron
