#!/bin/bash
# Where /proc has nothing of System V IPC to show, as on a kernel without CONFIG_SYSVIPC: here a
# /proc that shows processes only.
. "$(dirname "$0")/../lib.sh" || exit 1
need ipcs util-linux
enter_namespaces "$@"
make_scratch
mount -t proc -o subset=pid proc /proc 2>"$scratch/err" || skip "no /proc with subset=pid: $(cat "$scratch/err")"
[ ! -e /proc/sysvipc ] || fail "/proc/sysvipc is there all the same"

session='id=$(ipcmk -M 5000 | grep -o "[0-9]*$") && ipcs -m | grep -c " 5000 " && ipcs -l | grep -c "max seg size" &&
  unshare --ipc ipcs -m | grep -c " 5000 "; ipcrm -m "$id"'
for mode in '' --proc=hide --proc=off --userns; do
  heading "run $mode"
  # shellcheck disable=SC2086
  seen=$(timeout --kill-after=10 60 "$SHMVISOR" run $mode -- bash -c "$session" 2>"$scratch/err") ||
    fail "status $?: $seen $(cat "$scratch/err")"
  expect "what ipcs shows" "$(printf '1\n1\n0')" "$seen"
  assert_silent "$scratch/err"
done

heading 'run --proc=fuse'
seen=$(timeout --kill-after=10 60 "$SHMVISOR" run --proc=fuse -- bash -c "$session" 2>"$scratch/err") ||
  fail "status $?: $(cat "$scratch/err")"
expect "what ipcs shows" "$(printf '1\n1\n0')" "$seen"
grep -q 'warning: --proc=fuse: /proc has no sysvipc' "$scratch/err" || fail "it does not say so: $(cat "$scratch/err")"

# As on a kernel without CONFIG_IPC_NS: shmvisor itself finds no such file.
heading 'root without IPC namespaces'
need strace strace
cat >"$scratch/rights.py" <<'END'
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
made, told = os.pipe()
user = os.fork()
if user == 0:
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
    os.write(told, str(libc.shmget(0, ctypes.c_size_t(4096), 0o1600)).encode())
    os._exit(0)
segment = int(os.read(made, 20))
os.waitpid(user, 0)
print(segment >= 0, [libc.shmctl(segment, command, ctypes.create_string_buffer(200)) for command in (2, 11, 12, 0)])
END
# without_ipc_namespaces COMMAND...
without_ipc_namespaces() {
  timeout --kill-after=10 60 strace -qq -o "$scratch/calls" -P /proc/thread-self/ns/ipc -e trace=openat \
    -e inject=openat:error=ENOENT "$@"
}
for mode in '' --proc=fuse --proc=hide --proc=off; do
  # shellcheck disable=SC2086
  seen=$(without_ipc_namespaces "$SHMVISOR" run $mode -- python3 "$scratch/rights.py" 2>"$scratch/err") ||
    fail "$mode: status $?: $(cat "$scratch/err")"
  grep -q INJECTED "$scratch/calls" || fail "the file was not asked for"
  expect "$mode: IPC_STAT, SHM_LOCK, SHM_UNLOCK, IPC_RMID" 'True [0, 0, 0, 0]' "$seen"
  case $mode in
    --proc=fuse) grep -q '/proc has no sysvipc' "$scratch/err" || fail "it does not say so: $(cat "$scratch/err")" ;;
    *) assert_silent "$scratch/err" ;;
  esac
done

heading check
for where in '' without_ipc_namespaces; do
  $where "$SHMVISOR" check >"$scratch/out" || fail "$where check: $(cat "$scratch/out")"
  expect "lines that say so" 2 "$(grep -cE '^proc-(fuse|hide) +not needed +/proc has no sysvipc' "$scratch/out")"
  grep -q '^shmvisor can run here' "$scratch/out" || fail "$where check: $(cat "$scratch/out")"
done
