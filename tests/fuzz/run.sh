#!/usr/bin/env bash
# run.sh SECONDS [NAME...]: builds the fuzzers and runs each for so long (all by default); ends with 1 on a finding, whose
# input stays below build/fuzz/NAME-findings, and with 77 without a clang. Corpora grow below build/fuzz/NAME-corpus, from this repository's own files.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:?seconds for each fuzzer}
shift
names=("$@")
[ ${#names[@]} -gt 0 ] || names=(json tokenizer config safetensors task csv scores set delta state gguf)
compiler=$(command -v clang++-19 clang++-18 clang++-17 clang++-16 | head -1 || true)
if [ -z "$compiler" ]; then
  echo "FUZZERS SKIPPED: no clang 16 or newer (apt-get install clang-19 libclang-rt-19-dev)"
  exit 77
fi
cmake -S tests/fuzz -B build/fuzz -DCMAKE_CXX_COMPILER="$compiler" >/dev/null
cmake --build build/fuzz -j "$(nproc)"

# Small files of every kind, as they stand in this repository.
seeds() {
  local folder=build/fuzz/$1-corpus file number=0
  mkdir -p "$folder"
  case $1 in
    config) for file in tests/fixtures/*/*/model/config.json tests/fixtures/*/*/config.json examples/models/*/config.json; do
        [ ! -e "$file" ] || cp "$file" "$folder/seed-$((number += 1))"
      done ;;
    tokenizer) for file in tests/fixtures/*/*/model/tokenizer.json tests/fuzz/seeds/tokenizer/*; do
        [ ! -e "$file" ] || cp "$file" "$folder/seed-$((number += 1))"
      done ;;
    task) for file in tests/fixtures/end_to_end/*/task; do
        (tr -d '\n' <"$file/meta.json" && echo && cat "$file/train.jsonl") >"$folder/seed-$((number += 1))"
      done ;;
    safetensors) for file in tests/fixtures/end_to_end/*/golden.safetensors; do
        python3 -c 'import struct, sys; data = open(sys.argv[1], "rb").read(); size = struct.unpack("<Q", data[:8])[0]
body = len(data) - 8 - size
sys.stdout.buffer.write(struct.pack("<H", min(body, 65535)) + data[8:8 + size])' "$file" >"$folder/seed-$((number += 1))"
      done ;;
    json) for file in examples/orders/*.json tests/fixtures/end_to_end/*/golden.json; do
        cp "$file" "$folder/seed-$((number += 1))"
      done ;;
    scores | delta | state) TASKNEURON_FUZZ_SEEDS=$folder "build/fuzz/fuzz_$1" ;;
    gguf | set) for file in tests/fuzz/seeds/"$1"/*; do
        cp "$file" "$folder/seed-$((number += 1))"
      done ;;
    csv) printf 'a,b\n1,"x ""y""\nz"\n' >"$folder/seed-1" && printf 'a\tb\n1\t2\n' >"$folder/seed-2" ;;
  esac
}

# fuzz NAME: its findings and what it did in its log.
fuzz() {
  local name=$1 leaks=1
  # What LibTorch and its libraries keep from their start is not ours.
  case $name in scores | set | delta | state | gguf) leaks=0 ;; esac
  touch "build/fuzz/$name.failed" # until it ends well
  rm -f "build/fuzz/$name.log"
  seeds "$name"
  mkdir -p "build/fuzz/$name-findings"
  ASAN_OPTIONS=detect_leaks=$leaks build/fuzz/fuzz_"$name" "build/fuzz/$name-corpus" -max_total_time="$seconds" -timeout=2 \
    -rss_limit_mb=1024 -max_len=16384 -artifact_prefix="build/fuzz/$name-findings/" -print_final_stats=1 \
    >"build/fuzz/$name.log" 2>&1 && rm "build/fuzz/$name.failed"
  awk -v name="$name" '/number_of_executed_units/ {runs = $2} /cov:/ {for (i = 1; i < NF; ++i) if ($i == "cov:") cover = $(i + 1)}
    END {printf "%-12s %10d executions, %d edges covered\n", name, runs, cover}' "build/fuzz/$name.log"
}

# As many at a time as there are processors.
rm -f build/fuzz/*.failed
for name in "${names[@]}"; do
  while [ "$(jobs -rp | wc -l)" -ge "$(nproc)" ]; do wait -n || true; done
  fuzz "$name" &
done
wait
if compgen -G "build/fuzz/*.failed" >/dev/null; then
  for failed in build/fuzz/*.failed; do
    log=${failed%.failed}.log
    echo "FAILED $(basename "$failed" .failed): $(grep -m1 SUMMARY "$log" 2>/dev/null || tail -n 1 "$log" 2>/dev/null || echo "no first inputs")"
  done
  exit 1
fi
