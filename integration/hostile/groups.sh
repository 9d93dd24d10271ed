#!/bin/bash
# Who attacks: a process whose supplementary groups shmvisor's user namespace does not map, as in a rootless container
# with the caller's groups kept. The kernel shows them as 65534. What must stay true: it has no right of that group's.
. "$(dirname "$0")/../lib.sh" || exit 1
need python3 python3
enter_namespaces "$@"
make_scratch
copy_shmvisor_to_scratch
chmod 777 "$scratch"
cp "$(dirname "$0")/groups.py" "$scratch" || fail cp
cd "$scratch" || fail cd
natively=$(timeout --kill-after=10 60 unshare -i /usr/bin/python3 -B groups.py /usr/bin/python3 -B groups.py inside) || fail "natively: $?"
supervised=$(timeout --kill-after=10 60 /usr/bin/python3 -B groups.py "$SHMVISOR" run -- /usr/bin/python3 -B groups.py inside) ||
  fail "supervised: $?"
expect "natively" "made: yes, by a group that is not mapped: EACCES" "$natively"
expect "supervised" "$natively" "$supervised"
