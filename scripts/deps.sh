#!/usr/bin/env bash
# deps.sh check    exits 0 when every Debian package below is installed, names those missing otherwise
# deps.sh install  installs those missing, as root or with sudo
set -euo pipefail

packages=(
  g++ cmake ninja-build pkg-config git
  libtorch-dev libgloo-dev          # tensors, autograd
  libdnnl-dev                       # oneDNN: the CPU's matrix products
  libopenblas0-pthread              # float32 matrix products; the reference BLAS is many times slower
  libpcre2-dev libutf8proc-dev      # the tokenizers' expressions and Unicode normal forms
  libstemmer-dev                    # Porter stemming for ROUGE-L
  nlohmann-json3-dev libcli11-dev libfmt-dev libssl-dev
  libgtest-dev python3              # tests
  clang-format                      # make format, and the formatting check
)

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing+=("$package")
done

case "${1:-}" in
  check)
    [ ${#missing[@]} -eq 0 ] || { echo "Missing Debian packages: ${missing[*]}"; exit 1; }
    ;;
  install)
    [ ${#missing[@]} -gt 0 ] || { echo "Nothing is missing."; exit 0; }
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
  *)
    echo "usage: deps.sh check|install" >&2
    exit 2
    ;;
esac
