#!/bin/bash
# Builds and runs all tests: bash tests/run.sh [--no-install] [PRESET [CTEST-OPTION...]]
# PRESET is release (the default), debug, asan or tsan. First it installs what is needed; with
# --no-install it installs nothing, and skips tests whose programs are missing.
set -euo pipefail
install=yes
if [ "${1:-}" = --no-install ]; then
  install=no
  shift
fi
preset=${1:-release}
[ $# = 0 ] || shift
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
# shellcheck source=../integration/packages.sh
. integration/packages.sh

if [ $install = yes ]; then
  echo '== Packages'
  install_packages build tests
  # What was promised and is missing is a failure.
  export SHMVISOR_PACKAGES_PROMISED=1
fi
echo "== Build ($preset)"
unity=()
# Whoever has a build folder already goes on as before.
[ -e "build/$preset" ] || unity=(-DSHMVISOR_UNITY_BUILD=ON)
cmake --preset "$preset" "${unity[@]}" >/dev/null
bash tests/build.sh "$preset"
echo "== Tests ($preset)"
exec bash tests/run_ctest.sh "$preset" "$@"
