#!/bin/bash
# Clang's analysis of locks, and unit tests under the sanitizers: bash tests/analysis.sh [--all] [PRESET...]
# All of thread-safety, asan and tsan unless presets are given. Of the tests, those with the label
# unit-quick; --all: all unit tests. What is needed is installed already (tests/run.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
target=quick_tests label=unit-quick
if [ "${1:-}" = --all ]; then
  target=unit_tests label=unit
  shift
fi
[ $# != 0 ] || set -- thread-safety asan tsan

for preset in "$@"; do
  echo "== $preset"
  unity=()
  # Builds with sanitizers are so by default. Whoever has a build folder already goes on as before.
  [ -e "build/$preset" ] || unity=(-DSHMVISOR_UNITY_BUILD=ON)
  cmake --preset "$preset" "${unity[@]}" >/dev/null
  if [ "$preset" = thread-safety ]; then
    bash tests/build.sh "$preset"
  else
    bash tests/build.sh "$preset" --target $target
    bash tests/run_ctest.sh "$preset" -L "$label"
  fi
done
