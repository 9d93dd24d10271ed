#!/bin/bash
# Installs what is needed, builds and runs all tests: bash tests/run.sh [PRESET]
# PRESET is release (the default), debug, asan or tsan.
set -euo pipefail
preset=${1:-release}
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
# shellcheck source=../integration/packages.sh
. integration/packages.sh

echo '== Packages'
install_packages build tests
echo "== Build ($preset)"
cmake --preset "$preset" >/dev/null
cmake --build --preset "$preset" | tail -n 1
echo "== Tests ($preset)"
# Two at a time: the tests start many processes of their own.
exec ctest --preset "$preset" -j 2 --no-tests=error </dev/null
