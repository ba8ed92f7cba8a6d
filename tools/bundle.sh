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
keep() { keep_at "$1" "$1"; }
keep_at() {
  [ ! -e "$folder/system$2" ] || return 0
  mkdir -p "$folder/system$(dirname "$2")"
  cp -a "$1" "$folder/system$2"
}
# keep_library PATH: a shared library, under its own name and the one that programs ask for, and those that it needs in turn but
# for the compiler's own, which every machine that builds has.
keep_library() {
  local library name needed
  library=$(readlink -f "$1")
  keep "$1"
  keep "$library"
  name=$(objdump -p "$library" | sed -n 's/^ *SONAME *//p')
  [ -z "$name" ] || [ ! -e "$(dirname "$library")/$name" ] || keep "$(dirname "$library")/$name"
  for needed in $(objdump -p "$library" | sed -n 's/^ *NEEDED *//p'); do
    case $needed in libc.so* | libm.so* | libdl.so* | librt.so* | libpthread.so* | ld-linux* | libgcc_s.so* | libstdc++.so* | libgomp.so*) continue ;; esac
    needed=$(ldconfig -p | sed -n "s|^[[:space:]]*$needed (.*x86-64.*) => ||p" | head -1)
    needed=$(readlink -f "$(dirname "$needed")")/$(basename "$needed") # of /lib, which is /usr/lib
    [ -e "$folder/system$needed" ] || keep_library "$needed"
  done
}
for package in "${packages[@]}"; do
  { dpkg -L "$package" | grep -E '^/usr/(include|lib|share/cmake)/' || true; } | while read -r path; do
    [ -f "$path" ] || continue
    # Gloo's libraries are LibTorch's own. Headers of one architecture stand beside the others: elsewhere no compiler looks for them
    # in a folder of their own.
    case $path in */libgloo*) continue ;; *.so) keep_library "$path" ;; */include/*-linux-gnu/*) keep_at "$path" "/usr/include/${path#/usr/include/*-linux-gnu/}" ;; *) keep "$path" ;; esac
  done
done
du -sh "$folder/source" "$folder/system"
