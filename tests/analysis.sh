#!/bin/bash
# Clang's analysis of locks, and the unit tests under the sanitizers: bash tests/analysis.sh [PRESET...]
# All of thread-safety, asan and tsan unless presets are given. What is needed is installed already
# (tests/run.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# != 0 ] || set -- thread-safety asan tsan

for preset in "$@"; do
  echo "== $preset"
  cmake --preset "$preset" >/dev/null
  if [ "$preset" = thread-safety ]; then
    cmake --build --preset "$preset" | tail -n 1
  else
    cmake --build --preset "$preset" --target unit_tests | tail -n 1
    ctest --preset "$preset" -L '^unit$' -j 2 --no-tests=error </dev/null
  fi
done
