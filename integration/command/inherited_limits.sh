#!/bin/bash
# Resource limits bind the command as they do natively, and its shared memory as little.
. "$(dirname "$0")/../lib.sh" || exit 1
programs=$1
enter_namespaces "$@"
make_scratch
copy_shmvisor_to_scratch
install -m 755 "$programs/command_print_limits" "$scratch/made" || fail install
cd "$scratch" || fail cd
# The kernel's default limits, natively too.
native() { unshare --ipc "$@"; }

heading "ulimit -f: a segment is no file"
limits=('ulimit -S -f 8' 'ulimit -S -f 0')
if (ulimit -f 8 && ulimit -f unlimited) 2>/dev/null; then
  limits+=('ulimit -f 8' 'ulimit -f 0')
else
  echo "note: without CAP_SYS_RESOURCE here, so that a hard limit binds shmvisor"
fi
for limit in "${limits[@]}"; do
  expect "$limit" "$(eval "$limit" && native ./made 3 1048576)" "$(eval "$limit" && supervised ./made 3 1048576 2>&1)"
done
user_native() { unshare --ipc setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all --bounding-set=-all -- "$@"; }
user_supervised() { as_user timeout --kill-after=10 60 "$SHMVISOR" run "$@"; }
expect "as a user, ulimit -S -f 8" "$(ulimit -S -f 8 && user_native ./made 3 1048576)" \
  "$(ulimit -S -f 8 && user_supervised -- ./made 3 1048576 2>&1)"
# The one that differs, since such a supervisor cannot free itself.
got=$(ulimit -f 8 && user_supervised -- ./made 3 1048576 2>&1)
[[ $got == *"made 0: ENOSPC"* && $got == *RLIMIT_FSIZE* ]] || fail "as a user, ulimit -f 8: $got"
expect "as a user, within it" "$(ulimit -f 8 && user_native ./made 3 4096)" "$(ulimit -f 8 && user_supervised -- ./made 3 4096 2>&1)"

heading "the command has them all, shmvisor none that would bind its calls"
all_limits='ulimit -S -f 8; ulimit -S -t 1000; ulimit -S -v 4000000; ulimit -S -d 3000000; ulimit -S -s 64; ulimit -S -i 20; ulimit -S -l 64; ulimit -S -n 64'
expect "the command's" "$(eval "$all_limits"; bash -c 'ulimit -a; ulimit -aH')" "$(eval "$all_limits"; supervised bash -c 'ulimit -a; ulimit -aH' 2>&1)"
# shellcheck disable=SC2016
bound=$(eval "$all_limits"; "$SHMVISOR" run -- sh -c \
  'grep -E "^Max (cpu time|file size|data size|stack size|locked memory|address space|pending signals)" /proc/$PPID/limits')
unbound=$(grep -E "^Max (cpu time|file size|data size|stack size|locked memory|address space|pending signals)" /proc/self/limits |
  sed -E 's/^(.{26})[^ ]+( *)([^ ]+)/\1\3\2\3/')
expect "what binds shmvisor: hard limits alone" "$(tr -s ' ' <<<"$unbound")" "$(tr -s ' ' <<<"$bound")"

heading "time that is the supervisor's"
# Calls by the hundred thousand are the supervisor's work, and no reason to end it.
cat >busy.py <<'END'
import ctypes, os, resource, time
libc = ctypes.CDLL(None)
made = libc.shmget(0, 4096, 0o1600)
pid = os.getppid()
def used():
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
deadline = time.monotonic() + 60
while used() < 1.3 and time.monotonic() < deadline:
    if os.fork() == 0:
        stat = (ctypes.c_ulong * 64)()
        for _ in range(3000):
            libc.shmctl(made, 2, stat)
        os._exit(0)
    os.wait()
print(libc.shmctl(made, 0, None))
END
expect "ulimit -S -t 1" 0 "$(ulimit -S -t 1 && timeout 100 "$SHMVISOR" run -- /usr/bin/python3 busy.py 2>&1)"
assert_kernel_table_empty
