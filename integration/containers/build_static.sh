#!/bin/bash
# build_static.sh CMAKE SOURCE_FOLDER BUILD_FOLDER: the preset "static", in a folder of its own, and
# that what comes out needs neither an interpreter nor a library.
set -eu
cmake=$1
source_folder=$2
build_folder=$3
cd "$source_folder"
"$cmake" --preset static -B "$build_folder" >/dev/null
"$cmake" --build "$build_folder" >"$build_folder/build.log" 2>&1 || {
  tail -n 40 "$build_folder/build.log" >&2
  exit 1
}
if grep -i warning "$build_folder/build.log" >&2; then
  echo 'FAILED: the build warns' >&2
  exit 1
fi
if readelf -lW "$build_folder/shmvisor" | grep -F INTERP >&2 ||
  readelf -dW "$build_folder/shmvisor" | grep -F NEEDED >&2; then
  echo 'FAILED: the binary is not static' >&2
  exit 1
fi
"$build_folder/shmvisor" --version
