#!/usr/bin/env bash
# Installs into an empty prefix, then builds and runs a small project against it.
set -euo pipefail
build=$(cd "${1:?usage: install_test.sh BUILD_FOLDER}" && pwd)
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$build" --prefix "$work/prefix" >/dev/null
"$work/prefix/bin/taskneuron" --version
cmake -S "$root/tests/downstream" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
cmake --build "$work/build" >/dev/null
found=$("$work/build/downstream" "$root/examples/models/mini")
[ "$found" = "6144 units, 4 tokens" ] || { echo "downstream printed '$found'" >&2; exit 1; }
echo "install test: the downstream project builds and runs"
