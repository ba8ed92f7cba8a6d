#!/usr/bin/env bash
# deps.sh check [TARGET...]    exits 0 when the Debian packages of the targets are installed, names those missing otherwise
# deps.sh install [TARGET...]  installs those missing, as root or with sudo
# deps.sh list [TARGET...]     prints them
#
# Targets, each with what it builds on: build (the program; default), demo, test, install-test, format, bench,
# fuzz, fresh-machine; all is every one of them.
set -euo pipefail

build=(
  g++ cmake ninja-build
  libtorch-dev libgloo-dev        # tensors, autograd; sums over processes
  libdnnl-dev                     # oneDNN: the CPU's matrix products
  libopenblas0-pthread            # LibTorch's own products; the reference BLAS is many times slower
  libpcre2-dev libutf8proc-dev    # the tokenizers' expressions and Unicode normal forms
  nlohmann-json3-dev libcli11-dev libfmt-dev libssl-dev
)
demo=("${build[@]}" python3)
test=("${build[@]}" libgtest-dev python3 iproute2) # iproute2: two hosts in the place of one
install_test=("${build[@]}")
format=(git)                      # and clang-format 14, where the release has it
bench=("${build[@]}" libbenchmark-dev python3 python3-dev python3-torch python3-numpy) # python3-dev: torch.compile
fuzz=("${build[@]}")              # and the newest clang from 16 that the release has, with its libFuzzer
fresh_machine=(debootstrap git util-linux tar gzip)

usage() {
  sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

# Debian 13 has no clang-format 14, and other versions format otherwise.
formatter() {
  if apt-cache show clang-format-14 >/dev/null 2>&1; then echo clang-format-14; fi
}

fuzzing_compiler() {
  local version
  for version in 19 18 17 16; do
    if apt-cache show "libclang-rt-$version-dev" >/dev/null 2>&1; then
      echo "clang-$version" "libclang-rt-$version-dev"
      return
    fi
  done
}

packages_of() {
  case "$1" in
    build) printf '%s\n' "${build[@]}" ;;
    demo) printf '%s\n' "${demo[@]}" ;;
    test) printf '%s\n' "${test[@]}" ;;
    install-test) printf '%s\n' "${install_test[@]}" ;;
    format) printf '%s\n' "${format[@]}" $(formatter) ;;
    bench) printf '%s\n' "${bench[@]}" ;;
    fuzz) printf '%s\n' "${fuzz[@]}" $(fuzzing_compiler) ;;
    fresh-machine) printf '%s\n' "${fresh_machine[@]}" ;;
    all) for target in demo test install-test format bench fuzz fresh-machine; do packages_of "$target"; done ;;
    *) echo "deps.sh: no target '$1'; there are build, demo, test, install-test, format, bench, fuzz, fresh-machine, all" >&2
       return 2 ;;
  esac
}

action=${1:-}
case "$action" in check|install|list) shift ;; *) usage ;; esac
[ $# -gt 0 ] || set -- build
command -v dpkg-query >/dev/null || { echo "deps.sh: only Debian's packages are known; see scripts/deps.sh for their names" >&2; exit 1; }

wanted=()
for target in "$@"; do
  names=$(packages_of "$target")
  mapfile -t -O "${#wanted[@]}" wanted <<<"$names"
done
mapfile -t wanted < <(printf '%s\n' "${wanted[@]}" | awk '!seen[$0]++')

installed=$(dpkg-query -W -f='${Package} ${Status}\n' "${wanted[@]}" 2>/dev/null || true)
missing=()
for package in "${wanted[@]}"; do
  grep -qxF "$package install ok installed" <<<"$installed" || missing+=("$package")
done

case "$action" in
  list) printf '%s\n' "${wanted[@]}" ;;
  check) [ ${#missing[@]} -eq 0 ] || { echo "Missing Debian packages for $*: ${missing[*]}"; exit 1; } ;;
  install)
    [ ${#missing[@]} -gt 0 ] || { echo "Nothing is missing for $*."; exit 0; }
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
      command -v sudo >/dev/null || { echo "Run as root, or install sudo, to install: ${missing[*]}" >&2; exit 1; }
      as_root=(sudo)
    fi
    echo "Installing with apt-get: ${missing[*]}"
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
      apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
    echo "Installed."
    ;;
esac
