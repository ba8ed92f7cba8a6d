#!/usr/bin/env bash
# fresh_machine_test.sh bookworm|trixie|--all [--complete]
#
# Makes minimal Debian machines of a release and does there what the README tells a new user to do, on a clone of HEAD:
#   root   every command of README.md's sh blocks (`make demo` and `make check` among them), nothing compiled before
#   user   a second machine, a plain user with sudo: `make demo`, on what root compiled there.
#          --complete: every command, and everything compiled again
# Exit: 0 passed, 1 failed, 77 can't be run here (not root, no debootstrap, mirror out of reach).
# Bases and downloaded packages are kept in ${XDG_CACHE_HOME:-~/.cache}/taskneuron; bases for 30 days.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/taskneuron
logs=$root/build/fresh-machine
place=/srv/taskneuron # of the clone, on both machines: a build folder knows its path
base_days=30

say() { printf '%s  %s\n' "$(date +%H:%M:%S)" "$*"; }
cannot() { printf '\n!!! THE FRESH MACHINE TEST WAS NOT RUN: %s\n\n' "$*" >&2; exit 77; }

# The mirror that this machine's own Debian packages come from; nothing when it can't be told.
mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' 2>/dev/null |
    sed -n 1p
}

# make_base RELEASE TARBALL: debootstrap's smallest Debian.
make_base() {
  local folder
  folder=$(mktemp -d "$work/base.XXXXXX")
  say "$1: debootstrap (kept for $base_days days)"
  debootstrap --variant=minbase "$1" "$folder" $(mirror) >"$logs/$1-debootstrap.log" 2>&1 ||
    cannot "debootstrap $1 failed; $logs/$1-debootstrap.log ends: $(tail -n 1 "$logs/$1-debootstrap.log")"
  tar -C "$folder" --exclude=./var/cache/apt/archives/*.deb -czf "$2.part" .
  mv "$2.part" "$2"
  rm -rf --one-file-system "$folder"
}

# readme_commands: the commands of README.md's sh blocks, one a line, continued lines joined, comments cut.
readme_commands() {
  awk '/^```sh$/ { on = 1; next } /^```/ { on = 0 } on' "$root/README.md" |
    sed -e ':join' -e '/\\$/ { N; s/ *\\\n */ /; b join' -e '}' -e 's/  *#.*//' -e '/^$/d'
}

# enter MACHINE: mounts that die with this process's namespace; devices of its own, because tests may write to them.
enter() {
  mount -t proc proc "$1/proc"
  mount -t tmpfs -o mode=755 tmpfs "$1/dev"
  local device
  for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    mknod -m 666 "$1/dev/${device%%:*}" c $(tr : ' ' <<<"${device#*:}")
  done
  ln -s /proc/self/fd "$1/dev/fd"
  ln -s fd/0 "$1/dev/stdin"; ln -s fd/1 "$1/dev/stdout"; ln -s fd/2 "$1/dev/stderr"
  mkdir "$1/dev/pts" "$1/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=666 devpts "$1/dev/pts"
  ln -s pts/ptmx "$1/dev/ptmx"
  mount -t tmpfs -o mode=1777 tmpfs "$1/dev/shm"
  mount --bind "$archives" "$1/var/cache/apt/archives"
}

# new_machine NAME: the base, reachable and with what every user has before reading a README: git and make (and sudo).
new_machine() {
  mkdir "$work/$1" && tar -C "$work/$1" -xzf "$base" || return 1
  chmod 755 "$work/$1" # not every debootstrap opens the root folder, which mktemp made, to others
  cp /etc/resolv.conf "$work/$1/etc/resolv.conf"
  echo "127.0.0.1 localhost $(hostname)" >"$work/$1/etc/hosts"
  apt-config dump 2>/dev/null | grep -i '^Acquire::https\?::Proxy' >"$work/$1/etc/apt/apt.conf.d/90proxy" || true
  enter "$work/$1" || return 1
  in_machine "$1" root 'apt-get update -qq -o APT::Update::Error-Mode=any' >>"$log" 2>&1 || return 77
  in_machine "$1" root 'apt-get install -y -qq --no-install-recommends git make sudo' >>"$log" 2>&1
}

# in_machine NAME USER COMMAND: nothing of this machine's environment but a proxy.
in_machine() {
  local home=/root
  [ "$2" = root ] || home=/home/$2
  chroot --userspec="$2:$2" --groups="$2" "$work/$1" env -i HOME="$home" USER="$2" TERM=dumb DEBIAN_FRONTEND=noninteractive \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \
    PATH="$place/build/release:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" \
    bash -c "if [ -d $place ]; then cd $place; fi; $3" </dev/null
}

# step NAME USER COMMAND: runs it and puts a row into the table.
step() {
  local began=$SECONDS status=ok
  printf '\n$ %s\n' "$3" >>"$log"
  in_machine "$@" >>"$log" 2>&1 || status="FAILED ($?)"
  printf '%-9s %-9s %7s  %-12s %s\n' "$release" "$2" $((SECONDS - began)) "$status" "${3:0:90}" >>"$work/table"
  say "$release, $2: $status after $((SECONDS - began)) s: ${3:0:90}"
  [ "$status" = ok ] && return
  printf '\n--- the last lines of %s:\n' "$log"
  tail -n 25 "$log"
  return 1
}

# steps NAME USER < commands: one after another, up to the first that fails.
steps() {
  local command
  while IFS= read -r -u 3 command; do
    step "$1" "$2" "$command" || return 1
  done 3<&0
}

# inside RELEASE: both machines of a release, in a mount namespace of their own.
inside() {
  release=$1 base=$cache/debian-$1.tar.gz archives=$cache/archives-$1 log=$logs/$1.log
  local status=0
  : >"$log"
  mkdir -p "$archives"
  new_machine root || { status=$?; tail -n 5 "$log"; return "$status"; }
  git clone --quiet --no-local "$root" "$work/root$place"
  readme_commands | steps root root || return 1

  new_machine user || return 1
  in_machine user root 'useradd --create-home --shell /bin/bash newcomer && echo "newcomer ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/newcomer'
  if [ "$complete" = yes ]; then
    git clone --quiet --no-local "$root" "$work/user$place"
  else
    mkdir -p "$work/user$place"
    tar -C "$work/root$place" -c . | tar -C "$work/user$place" -x
    # As root's `make demo` left it: without the tests, which ask for packages that the demo does not install.
    sed -i 's/^TASKNEURON_TESTS:BOOL=ON/TASKNEURON_TESTS:BOOL=OFF/' "$work/user$place/build/release/CMakeCache.txt"
  fi
  in_machine user root "chown -R newcomer:newcomer $place"
  if [ "$complete" = yes ]; then
    readme_commands | steps user newcomer
  else
    echo "make demo" | steps user newcomer
  fi
}

# test_release RELEASE: its machines, and their rows added to the table. 0 passed, 1 failed, 77 out of reach.
test_release() {
  local status=0 tarball=$cache/debian-$1.tar.gz
  if [ -z "$(find "$tarball" -mtime -$base_days 2>/dev/null)" ]; then make_base "$1" "$tarball"; fi
  mkdir "$work/$1"
  FRESH_COMPLETE=$complete unshare --mount --pid --fork --kill-child \
    bash "$0" --inside "$1" "$work/$1" &
  # In the background, because unshare itself heeds no signal; with it everything inside dies.
  local child=$!
  trap 'kill -KILL '"$child"' 2>/dev/null; wait; exit 130' INT TERM HUP
  wait "$child" || status=$?
  trap - INT TERM HUP
  cat "$work/$1/table" >>"$work/table" 2>/dev/null || true
  rm -rf --one-file-system "${work:?}/$1"
  return "$status"
}

usage() {
  sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

main() {
  complete=${FRESH_COMPLETE:-no}
  if [ "${1:-}" = --inside ]; then
    work=$3
    inside "$2"
    exit
  fi
  local argument releases=() failed=0 status
  for argument in "$@"; do
    case "$argument" in
      --all) releases=(bookworm trixie) ;;
      --complete) complete=yes ;;
      bookworm|trixie) releases+=("$argument") ;;
      *) usage ;;
    esac
  done
  [ ${#releases[@]} -gt 0 ] || usage

  [ "$(id -u)" -eq 0 ] || cannot "it needs root, for chroot and mounts"
  unshare --mount true 2>/dev/null || cannot "this machine allows no mount namespaces"
  "$root/scripts/deps.sh" check fresh-machine >/dev/null || "$root/scripts/deps.sh" install fresh-machine >/dev/null 2>&1 ||
    cannot "debootstrap is missing and can't be installed"
  [ "$(readme_commands | wc -l)" -ge 5 ] || { echo "README.md's sh blocks hold fewer than 5 commands" >&2; exit 1; }
  git -C "$root" diff --quiet HEAD || say "what is not committed is not tested"

  work=$(mktemp -d "${TMPDIR:-/var/tmp}/taskneuron_fresh.XXXXXX")
  trap 'rm -rf --one-file-system "$work"' EXIT
  mkdir -p "$cache" "$logs"
  : >"$work/table"
  for argument in "${releases[@]}"; do
    status=0
    test_release "$argument" || status=$?
    case $status in
      0) ;;
      77) cannot "the packages of $argument are out of reach; see $logs/$argument.log" ;;
      *) failed=1; say "$argument: FAILED; the whole log is $logs/$argument.log" ;;
    esac
  done

  printf '\n%-9s %-9s %7s  %-12s %s\n' release as seconds result command
  cat "$work/table"
  [ "$failed" -eq 0 ] && echo "fresh machine test: passed on ${releases[*]}"
  exit "$failed"
}

main "$@"
