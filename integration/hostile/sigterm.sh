#!/bin/bash
# Who attacks: an ordinary user with sixty processes of thousands of descriptors each, all of which a sweep of IPC
# namespaces reads, and new IPC namespaces all the time, so that there is always something to sweep. What must stay
# true: whoever ends the run is heard at once, by the command too.
. "$(dirname "$0")/../lib.sh" || exit 1
need python3 python3
enter_namespaces "$@"
make_scratch
chmod 777 "$scratch"
copy_shmvisor_to_scratch
install -m 755 "${1:?path of the attacks}" "$scratch/attack" || fail install
export SHMVISOR
timeout --kill-after=10 120 /usr/bin/python3 -B "$(dirname "$0")/sigterm.py" "$scratch" || fail "sigterm.py: status $?"
assert_kernel_table_empty
