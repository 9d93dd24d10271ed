#!/bin/bash
# bystander.sh MODE ATTACK ATTACKER BYSTANDER_PROGRAM ATTACK_PROGRAM FAKE_RUNTIME [OPTION...]: see bystander.py. All of it
# runs in namespaces of its own, whose end is the end of every process that is left.
. "$(dirname "$0")/../lib.sh" || exit 1
need python3 python3
enter_namespaces "$@"
make_scratch
chmod 777 "$scratch" # everybody's output goes there
copy_shmvisor_to_scratch
install -m 755 "$4" "$scratch/bystander" && install -m 755 "$5" "$scratch/attack" || fail install
export PYTHONDONTWRITEBYTECODE=1 SHMVISOR
timeout --kill-after=10 280 python3 "$(dirname "$0")/bystander.py" "$scratch" "$1" "$2" "$3" "$6" "${@:7}"
status=$?
# What the attack that freezes leaves when it is killed.
rmdir /sys/fs/cgroup/shmvisor-hostile-* /sys/fs/cgroup/unified/shmvisor-hostile-* 2>/dev/null
[ $status != 77 ] || exit 77
[ $status = 0 ] || fail "bystander.py: status $status"
assert_kernel_table_empty
