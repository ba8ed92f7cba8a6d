#!/usr/bin/env bash
# All that a machine without package sources needs to build taskneuron, beside a C++20 compiler, CMake, Ninja and a Python
# environment with torch: bundle.sh FOLDER [COMMIT]
#
# FOLDER/source is the commit (HEAD by default), FOLDER/system what Debian's packages have of headers and libraries. There:
#   cmake --preset wheel -DCMAKE_PREFIX_PATH=FOLDER/system/usr -DTorch_DIR=...      (docs/cluster.md)
set -euo pipefail
folder=${1:?usage: bundle.sh FOLDER [COMMIT]}
commit=${2:-HEAD}
cd "$(dirname "$0")/.."
case "$folder" in /*) ;; *) folder=$OLDPWD/$folder ;; esac
[ ! -e "$folder" ] || { echo "bundle: $folder exists already" >&2; exit 1; }
scripts/deps.sh check build test >/dev/null || { echo "bundle: install the packages first: scripts/deps.sh install build test" >&2; exit 1; }

mkdir -p "$folder/source" "$folder/system"
git archive "$commit" | tar -x -C "$folder/source"
packages=(libdnnl-dev libgloo-dev libpcre2-dev libutf8proc-dev nlohmann-json3-dev libcli11-dev libfmt-dev libssl-dev libgtest-dev)
keep() {
  mkdir -p "$folder/system$(dirname "$1")"
  cp -a "$1" "$folder/system$1"
}
for package in "${packages[@]}"; do
  { dpkg -L "$package" | grep -E '^/usr/(include|lib|share/cmake)/' || true; } | while read -r path; do
    [ -f "$path" ] || continue
    keep "$path"
    [[ $path == *.so ]] || continue
    # The link's library, under the name that programs ask for, is in a package of its own.
    keep "$(dirname "$path")/$(basename "$(readlink -f "$path")")"
    soname=$(objdump -p "$path" | sed -n 's/^ *SONAME *//p')
    keep "$(dirname "$path")/$soname"
  done
done
# Gloo's own libraries are LibTorch's.
find "$folder/system" -name 'libgloo*' -delete
du -sh "$folder/source" "$folder/system"
