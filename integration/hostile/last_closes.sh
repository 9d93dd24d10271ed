#!/bin/bash
# Who attacks: an ordinary user whom root lets join. It decides how long the last close of files takes that the server
# has to drop: by SO_LINGER, or by an epoll of its own that is stuck. What must stay true: others join at once, SIGTERM
# reaches the command at once, runs end, and threads, processes and descriptors come back.
. "$(dirname "$0")/../lib.sh" || exit 1
need python3 python3
enter_namespaces "$@"
make_scratch
copy_shmvisor_to_scratch
chmod 777 "$scratch"
cp "$(dirname "$0")"/{last_closes,attacker,seen_lines}.py "$scratch" || fail cp
export SHMVISOR
for mode in "" --keeper; do
  timeout --kill-after=10 150 /usr/bin/python3 -B "$scratch/last_closes.py" "$scratch" $mode ||
    fail "last_closes.py $mode: status $?"
done
assert_kernel_table_empty
