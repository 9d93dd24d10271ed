#!/bin/bash
# bash tests/run_ctest.sh PRESET [CTEST-OPTION...]: runs tests that are built. Two at a time, since they
# start many processes of their own, and four of those that mostly wait: of the four slots a test
# takes as many as its property PROCESSORS says. A machine that others share is now and then too busy
# for a test. So tests that failed run once more, with nothing beside them, and their whole output is
# shown at the end. A test that fails again fails the run. A test that passes the second time is named.
set -uo pipefail
preset=$1
shift
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1
failed=build/$preset/Testing/Temporary/LastTestsFailed.log
rm -f "$failed"
ctest --preset "$preset" -j 4 --no-tests=error "$@" </dev/null && exit 0
status=$?
[ -s "$failed" ] || exit $status
again=$(wc -l <"$failed")
# Where many fail, the machine is not to blame.
[ "$again" -le 10 ] || exit $status
first=$(cut -d : -f 2- "$failed")
echo "== Once more, alone: $again of the tests"
ctest --preset "$preset" -j 1 --rerun-failed --no-tests=error </dev/null
status=$?
[ $status != 0 ] || printf '== Passed when run once more, alone:\n%s\n' "$first"
exit $status
