#!/bin/bash
# Two joined runs set different limits at the same time. Neither may give the other's back its old value.
. "$(dirname "$0")/../lib.sh" || exit 1
. "$(dirname "$0")/fuse.sh" || exit 1
need python3 python3
enter_namespaces "$@"
make_scratch
need_fuse
cd "$scratch" || fail cd
writes=4000
cat >writer.py <<'PROGRAM'
"""writer.py LIMIT NUMBER: sets the limit so often, and counts how often it then has another value."""
import os
import sys
import time

path, writes = '/proc/sys/kernel/' + sys.argv[1], int(sys.argv[2])
open(sys.argv[1], 'w').close()
while not os.path.exists('go'):
    time.sleep(0.001)
lost = 0
for value in map(str, range(100000, 100000 + writes)):
    with open(path, 'w', encoding='ascii') as limit:
        limit.write(value)
    with open(path, encoding='ascii') as limit:
        lost += limit.read().strip() != value
print(f'{sys.argv[1]}: {lost} of {writes} lost')
PROGRAM
both_are_ready() { [ -e shmmax ] && [ -e shmall ]; }

# The first command lives until the second one has written.
timeout 100 "$SHMVISOR" run --serve socket -- \
  sh -c "python3 writer.py shmmax $writes; until [ -e over ]; do sleep 0.05; done" >first 2>&1 &
first=$!
wait_until 30 test -S socket || fail "nobody serves: $(cat first)"
timeout 100 "$SHMVISOR" run --join socket -- python3 writer.py shmall $writes >second 2>&1 &
second=$!
wait_until 30 both_are_ready || fail "not both began: $(cat first second)"
touch go
wait $second || fail "the joined run: $(cat second)"
touch over
wait $first || fail "the run: $(cat first)"
expect "what the first run lost" "shmmax: 0 of $writes lost" "$(cat first)"
expect "what the joined run lost" "shmall: 0 of $writes lost" "$(cat second)"
assert_kernel_table_empty
