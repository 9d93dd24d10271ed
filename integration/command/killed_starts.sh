#!/bin/bash
# shmvisor, killed at a random moment of its start: no process, no mount namespace and no FUSE connection stays.
. "$(dirname "$0")/../lib.sh" || exit 1
[ -x /usr/bin/python3 ] || skip "/usr/bin/python3 is missing (Debian package python3)"
enter_namespaces "$@"
make_scratch
copy_shmvisor_to_scratch
chmod 777 "$scratch"
starts=$(realpath "$(dirname "$0")/killed_starts.py")

# The connections of a user of our own are told from those of others by their owner.
user=54321
mount -t fusectl none /sys/fs/fuse/connections 2>/dev/null
connections() { find /sys/fs/fuse/connections -mindepth 1 -maxdepth 1 -uid "$user" 2>/dev/null | wc -l; }
# An ordinary id with the capabilities that mounting takes; python3 is the init's only child.
caps=-all,+sys_admin,+sys_ptrace,+dac_override
privileged="setpriv --reuid $user --regid $user --clear-groups --inh-caps=$caps --ambient-caps=$caps --"
ordinary="setpriv --reuid $user --regid $user --clear-groups --inh-caps=-all --bounding-set=-all --"

nobody_left() { ! ps -eo comm= | grep -vxE 'bash|ps|grep' >/dev/null; }
no_connection() { [ "$(connections)" = 0 ]; }

# starts_of WHAT PREFIX COUNT OPTION...
starts_of() {
  local what=$1 prefix=$2 count=$3
  shift 3
  heading "$what"
  # shellcheck disable=SC2086
  (cd "$scratch" && exec timeout --kill-after=5 200 $prefix /usr/bin/python3 -B "$starts" "$count" "$SHMVISOR" "$@") ||
    fail "$what: status $?: $(ps -eo pid,ppid,stat,wchan:30,args)"
  wait_until 30 nobody_left || fail "$what: processes stay: $(ps -eo pid,ppid,stat,wchan:30,args)"
  wait_until 30 no_connection || fail "$what: $(connections) FUSE connections stay"
}

# That connections show at all.
if [ -c /dev/fuse ] && grep -q fusectl /proc/self/mounts; then
  # shellcheck disable=SC2086
  $privileged "$SHMVISOR" run --proc fuse -- sleep 1000 2>"$scratch/log" &
  one_connection() { [ "$(connections)" = 1 ]; }
  if wait_until 30 one_connection; then
    kill -KILL $!
    wait $! 2>/dev/null
    wait_until 30 no_connection || fail "a connection outlives shmvisor"
  else
    kill -KILL $!
    echo "note: FUSE is not possible here: $(cat "$scratch/log")"
  fi
fi

starts_of "with the files in /proc" "$privileged" 250 run -- sleep 1000
starts_of "without pidfd_getfd" "$privileged" 60 run --without pidfd-getfd -- sleep 1000
starts_of "as an ordinary user" "$ordinary" 60 run -- sleep 1000
starts_of "in a user namespace" "$ordinary" 60 run --userns -- sleep 1000
starts_of "served for others" "$privileged" 60 run --serve socket -- sleep 1000
starts_of "joining, where the server is killed" "$privileged" 60 --join

# With hardly a stack there is either a run or a reason, and nothing hangs. Only shmvisor has so little:
# setpriv(1) and timeout(1) do not always start with 16 KiB.
for size in 16 24 32 64; do
  for prefix in "" "$ordinary"; do
    # shellcheck disable=SC2086
    got=$(timeout --kill-after=5 60 $prefix sh -c 'ulimit -s "$1" && exec "$0" run -- echo here' "$SHMVISOR" "$size" 2>&1)
    expect "a stack of $size KiB ($prefix)" here "$got"
  done
done
nobody_left || fail "processes stay: $(ps -eo pid,ppid,stat,args)"
assert_kernel_table_empty
