#include "taskneuron/recipe/convert.h"

#include "base/file.h"
#include "recipe/gguf.h"
#include "taskneuron/base/error.h"
#include "taskneuron/base/progress.h"
#include "taskneuron/checkpoint/checkpoint.h"
#include "taskneuron/recipe/session.h"

namespace taskneuron {

void ConvertOptions::declare(OptionList& list) {
  list.add("model", &model, Effect::kInput, kModelHelp).positional().required();
  list.add("dtype", &dtype, Effect::kResult, "bfloat16, float16 or float32");
  list.add("out", &out, Effect::kNone, "Folder to write; must not exist").required();
}

namespace {

at::ScalarType parse_stored_dtype(const std::string& name) {
  if (name == "bfloat16") return at::kBFloat16;
  if (name == "float16") return at::kHalf;
  if (name == "float32") return at::kFloat;
  throw UsageError("dtype", name, "bfloat16, float16 or float32");
}

}  // namespace

ConvertResult convert(const ConvertOptions& options) {
  check_declared(options);
  SaveOptions save;
  save.dtype = parse_stored_dtype(options.dtype);
  require_new_folder(options.out);
  if (is_gguf(options.model)) {
    const GgufFile file(options.model);
    Progress bar("convert", file.tensor_bytes());
    save_gguf_model(file, options.out, *save.dtype,
                    [&](std::int64_t bytes) { bar.advance(bytes); });
    const Checkpoint written(options.out);
    return {{options.model, ""}, file.tensor_bytes(), written.tensor_bytes(), written.hash()};
  }
  const ModelFolder folder = find_model(options.model);
  const Checkpoint checkpoint(folder.path);
  Progress bar("convert", checkpoint.tensor_bytes());
  save.progress = [&](std::int64_t bytes) { bar.advance(bytes); };
  save_model(checkpoint, options.out, save);
  const Checkpoint written(options.out);
  return {folder, checkpoint.tensor_bytes(), written.tensor_bytes(), written.hash()};
}

}  // namespace taskneuron
