#!/bin/bash
# stress-ng's shm-sysv stressor, with --verify.
. "$(dirname "$0")/../lib.sh" || exit 1
need stress-ng stress-ng
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd

bound_seconds=240 supervised stress-ng --shm-sysv 2 --shm-sysv-ops 8 --shm-sysv-bytes 4M \
  --shm-sysv-segs 4 --verify >out 2>&1 || fail "stress-ng ended with $?: $(cat out)"
grep -q 'successful run completed' out || fail "no success: $(cat out)"
if grep -Eqi 'fail|error|skipp' out; then
  fail "stress-ng complains: $(cat out)"
fi
assert_kernel_table_empty
