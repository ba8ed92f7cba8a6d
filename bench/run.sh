#!/usr/bin/env bash
# Measures on this machine: run.sh BUILD_FOLDER. What needs data beside the clone says so and is skipped.
set -euo pipefail
build=${1:?usage: run.sh BUILD_FOLDER}
root=$(cd "$(dirname "$0")/.." && pwd)
cmake --build "$build" --target bench >/dev/null
echo "generation: 64 prompts side by side against one by one"
"$build/bench/bench_generation" "$root/examples/models/mini" "$root/examples/tasks/e2e"
echo "tokenizers: megabytes per second on one core"
text=$(mktemp)
trap 'rm -f "$text"' EXIT
cat "$root"/examples/tasks/*/train.jsonl >"$text"
"$build/bench/bench_tokenizer" "$text" "$root/examples/models/mini"
if [ -d "$root/../shared/tokenizers" ]; then
  "$build/bench/bench_tokenizer" "$root/../shared/data/plain/sherlock_holmes.txt" "$root"/../shared/tokenizers/*/
else
  echo "skipped: other tokenizers (no shared data beside the clone)"
fi
