#!/bin/bash
# static_binary.sh BUILD_FOLDER [CMAKE SOURCE_FOLDER]: that the binary there needs neither an
# interpreter nor a library, and is small. With a source folder the preset "static" is built there first.
set -eu
build_folder=$1
if [ $# -gt 1 ]; then
  cmake=$2
  cd "$3"
  "$cmake" --preset static -B "$build_folder" >/dev/null
  "$cmake" --build "$build_folder" >"$build_folder/build.log" 2>&1 || {
    tail -n 40 "$build_folder/build.log" >&2
    exit 1
  }
fi
if readelf -lW "$build_folder/shmvisor" | grep -F INTERP >&2 ||
  readelf -dW "$build_folder/shmvisor" | grep -F NEEDED >&2; then
  echo 'FAILED: the binary is not static' >&2
  exit 1
fi
# Debug information is split off where the build type has it.
bytes=$(stat -c %s "$build_folder/shmvisor")
if [ "$bytes" -ge $((8 << 20)) ]; then
  echo "FAILED: the binary has $bytes bytes, 8 MiB or more" >&2
  exit 1
fi
if [ -e "$build_folder/shmvisor.debug" ] && command -v gdb >/dev/null; then
  gdb -nx -batch -ex 'info line main' "$build_folder/shmvisor" | grep -E '^Line [0-9]+ of ' || {
    echo 'FAILED: gdb does not find the debug information' >&2
    exit 1
  }
fi
"$build_folder/shmvisor" --version
