#!/usr/bin/env bash
# Builds against the `torch` package of the Python index (docs/cluster.md) and runs the unit tests: wheel_test.sh [VERSION]
# The newest by default. Packages stay in ~/.cache/taskneuron; 77 where the index cannot be reached.
set -euo pipefail
cd "$(dirname "$0")/.."

version=${1:-}
python=${PYTHON:-python3}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/taskneuron
if [ -z "$version" ]; then
  version=$("$python" -m pip index versions torch 2>/dev/null | sed -n 's/^torch (\(.*\))$/\1/p') || true
  if [ -z "$version" ]; then
    echo "wheel_test: the Python index cannot be reached"
    exit 77
  fi
fi
environment=$cache/torch-$version
if [ ! -x "$environment/bin/python" ] || ! "$environment/bin/python" -c 'import torch' 2>/dev/null; then
  echo "wheel_test: torch $version into $environment"
  rm -rf "$environment"
  mkdir -p "$cache"
  "$python" -m venv "$environment"
  "$environment/bin/pip" install -q "torch==$version" || { rm -rf "$environment"; exit 77; }
fi
folder=$("$environment/bin/python" -c 'import torch; print(torch.utils.cmake_prefix_path)')/Torch

echo "== LibTorch of torch $version"
cmake --preset wheel -DTorch_DIR="$folder" -DTASKNEURON_TESTS=ON -DTASKNEURON_ONEDNN=ON >/dev/null
cmake --build --preset wheel -j "$(nproc)" --target unit_tests taskneuron_program
build/wheel/unit_tests
python3 tests/cli/run.py build/wheel/taskneuron tests/cli/cases/pipeline.case tests/cli/cases/train.case
echo "== several processes, by this torch's own launcher, and with another LibTorch"
python3 tests/ranks/ranks.py build/wheel/taskneuron
made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT
"$environment/bin/torchrun" --nproc-per-node 2 --no-python build/wheel/taskneuron detect examples/models/mini --task examples/tasks/scitail \
  --limit 40 --out "$made/scores.safetensors"
[ ! -x build/release/taskneuron ] || python3 tests/ranks/versions.py build/release/taskneuron build/wheel/taskneuron

echo "== without oneDNN"
cmake --preset wheel -DTorch_DIR="$folder" -DTASKNEURON_ONEDNN=OFF >/dev/null
cmake --build --preset wheel -j "$(nproc)" --target unit_tests taskneuron_program
build/wheel/unit_tests
python3 tests/cli/run.py build/wheel/taskneuron tests/cli/cases/pipeline.case tests/cli/cases/train.case
