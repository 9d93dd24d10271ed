#!/bin/bash
# static_binary.sh BUILD_FOLDER [CMAKE SOURCE_FOLDER]: that the binary there needs neither an
# interpreter nor a library. With a source folder the preset "static" is built there first.
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
"$build_folder/shmvisor" --version
