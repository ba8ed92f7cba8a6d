#!/usr/bin/env bash
# On a machine with a GPU: builds against its Python's torch package and prints whether the device gives the CPU's numbers, whether it
# gives the same bytes twice, and how fast it is: gpu_check.sh [OUT]
#
# Needs a C++20 compiler, CMake, Ninja, a Python with torch, and the libraries of scripts/deps.sh; where no packages can be had, those of
# tools/bundle.sh: gpu_check.sh is then called in FOLDER/source with SYSTEM=FOLDER/system/usr. DEVICE: another than cuda; ROWS: of
# the last measurement.
set -euo pipefail
out=$(mkdir -p "${1:-gpu-check}" && cd "${1:-gpu-check}" && pwd)
cd "$(dirname "$0")/.."
python=${PYTHON:-python3} device=${DEVICE:-cuda}
rows=()
row() { rows+=("$(printf '%-34s %s' "$1" "$2")"); printf '%-34s %s\n' "$1" "$2"; }

row "device" "$(nvidia-smi --query-gpu=name,memory.total --format=csv,noheader 2>/dev/null | head -1 || true)"
row "torch" "$("$python" -c 'import torch; print(torch.__version__, torch.version.cuda)' 2>/dev/null)"
began=$SECONDS
folder=$("$python" -c 'import torch; print(torch.utils.cmake_prefix_path)' 2>/dev/null)/Torch
cmake --preset wheel -DTorch_DIR="$folder" -DTASKNEURON_TESTS=ON ${SYSTEM:+-DCMAKE_PREFIX_PATH="$SYSTEM"} >"$out/configure.log" 2>&1 || { tail -n 20 "$out/configure.log"; exit 1; }
cmake --build --preset wheel -j "$(nproc)" --target unit_tests taskneuron_program >"$out/build.log" 2>&1 || { tail -n 20 "$out/build.log"; exit 1; }
row "built" "in $((SECONDS - began)) s"
program=build/wheel/taskneuron

# check NAME COMMAND...: whether it ends well; what it says is kept.
failed=0
check() {
  local name=$1 log=$out/${1// /-}.log
  shift
  if "$@" >"$log" 2>&1; then row "$name" "yes: $(grep -m 1 PASSED "$log" || tail -n 1 "$log")"; else row "$name" "NO: see $log"; failed=1; fi
}
check "unit tests on the CPU" build/wheel/unit_tests --gtest_brief=1
check "goldens on the device" env TASKNEURON_TEST_DEVICE="$device" build/wheel/unit_tests --gtest_filter='*Goldens*' --gtest_brief=1

mini=examples/models/mini task=examples/tasks/scitail
# In a condition `set -e` does not count: each command says itself whether it failed.
twice() {
  local name
  for name in a b; do
    rm -f "$out/$name.safetensors"
    "$program" detect "$mini" --task "$task" --device "$device" --limit 200 --quiet --out "$out/$name.safetensors" >/dev/null || return 1
  done
  cmp "$out/a.safetensors" "$out/b.safetensors" && echo "the same bytes"
}
check "detect gives the same bytes twice" twice
train_twice() {
  local name
  "$program" select "$out/a.safetensors" --top 10% --force --out "$out/set.json" >/dev/null || return 1
  for name in a b; do
    rm -rf "$out/train-$name"
    "$program" train "$mini" --task "$task" --set "$out/set.json" --lr 1e-3 --limit 200 --epochs 1 --evaluate none --device "$device" --quiet \
      --out "$out/train-$name" >/dev/null || return 1
  done
  cmp "$out/train-a/delta.safetensors" "$out/train-b/delta.safetensors" && echo "the same bytes"
}
check "train gives the same bytes twice" train_twice

# Random weights of a published shape, in bfloat16.
shape() {
  "$python" - "$out" <<'PY'
import sys
sys.path.insert(0, "bench")
import shapes
shapes.write_model("llama-1.1B", sys.argv[1] + "/llama-1.1B")
shapes.write_task(sys.argv[1] + "/random", 1024, 128, 256, 8)
PY
}
speed() {
  [ -d "$out/random" ] || shape || return 1
  rm -f "$out/speed.json"
  "$program" detect "$out/llama-1.1B" --task "$out/random" --device "$device" --limit "${ROWS:-1024}" --batch-tokens 16384 --force --quiet --json \
    --out "$out/speed.safetensors" >"$out/speed.json" || return 1
  "$python" - "$out/speed.json" "$(nvidia-smi --query-gpu=name --format=csv,noheader 2>/dev/null | head -1 || true)" <<'PY'
import json, math, sys
sys.path.insert(0, "bench")
import shapes
answer, name = json.load(open(sys.argv[1])), sys.argv[2]
speed = answer["tokens"] / answer["seconds"]
# Two for every weight of a layer and token forward, two back through its activations; no gradient of weights. Attention's own products
# and the head, which runs at answers alone, are left out.
weights = sum(math.prod(shape) for tensor, shape in shapes.tensor_shapes(shapes.SHAPES["llama-1.1B"]).items() if ".layers." in tensor)
rate = 4 * weights * speed / 1e12
peak = next((peak for gpu, peak in (("H100", 989), ("H200", 989), ("A100", 312)) if gpu in name), None)  # dense bfloat16, TFLOP/s
print(f"{speed:.0f} tokens/s, {rate:.3g} TFLOP/s" + (f", {rate / peak:.0%} of {peak}" if peak else ""))
PY
}
check "detect, llama-1.1B, bfloat16" speed
# Last, for it takes longest.
[ "$device" = cpu ] || check "commands as on the CPU" "$python" tests/device/device.py "$program" --device "$device"

printf '\n== in short\n'
printf '%s\n' "${rows[@]}" | tee "$out/table.txt"
exit $failed
