#!/bin/bash
# sysroot.sh: fills folders with what Debian 12 has for programs of 64-bit Arm: headers and libraries to build with
# (aarch64.cmake), those of 32-bit Arm for C, and programs for a machine. It prints the folder that they are in.
# Nothing is installed: gcc's cross compilers exclude gcc-multilib, which the tests for i386 need, so clang builds
# with these files.
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/debian.sh" || exit 1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/shmvisor-machines
suite=bookworm
. "$here/../packages.sh" || exit 1
# What shmvisor is built with, but for the programs, and what these need of a compiler's own.
libraries="$(printf '%s\n' $packages_build | grep -- '-dev$' | paste -s -d ' ')
  libc6-dev libstdc++-12-dev linux-libc-dev libgmock-dev"
programs='bash coreutils diffutils findutils gawk grep mount procps sed util-linux busybox-static'

# fill KIND ARCHITECTURE PACKAGE...: the folder KIND-ARCHITECTURE, if it is not there, or is of other packages.
fill() {
  local folder=$cache/$1-$2 log=$cache/fetch-$1-$2.log
  debian_architecture=$2
  shift 2
  [ ! -e "$folder" ] || ! echo "$@" | cmp -s - "$folder.list" || return 0
  # The folder of before stays where the other packages cannot be had.
  mkdir -p "$cache" && rm -rf "$folder.part" && mkdir "$folder.part" || exit 1
  if ! fetch_unpacked "$suite" "$folder.part" "$@" >"$log" 2>&1; then
    echo "not fetched from $suite: $(grep -E '^[EW]:' "$log" | head -n 1)" >&2
    exit 1
  fi
  rm -rf "$folder" "$folder.list" && mv "$folder.part" "$folder" && echo "$@" >"$folder.list" || exit 1
}

reason=$(why_no_private_apt)
[ -z "$reason" ] || { echo "$reason" >&2 && exit 1; }
# shellcheck disable=SC2086
fill sysroot arm64 $libraries
fill sysroot armhf libc6-dev linux-libc-dev libgcc-12-dev
# shellcheck disable=SC2086
fill guest arm64 $programs
echo "$cache"
