#!/bin/bash
# Builds a preset that is configured: bash tests/build.sh PRESET [CMAKE-BUILD-OPTION...]
# Prints the last line of the build, and where it fails the errors too.
set -euo pipefail
cd "$(dirname "$0")/.."
preset=$1
shift
output=$(mktemp)
trap 'rm -f "$output"' EXIT
status=0
cmake --build --preset "$preset" "$@" >"$output" 2>&1 || status=$?
[ $status = 0 ] || grep -E -A 3 '(error|warning):|^FAILED:|undefined reference' "$output" | head -n 60 || true
tail -n 1 "$output"
exit $status
