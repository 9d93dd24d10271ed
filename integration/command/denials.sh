# With -v the log says which limit or right denied a call, its value, what was asked for, and who asked;
# without it says nothing of what natively would not be told either.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
need ipcmk util-linux
need setpriv util-linux

# tells LINE OPTIONS... -- COMMAND...: the command fails, and the line is in the log with -v, not without.
tells() {
  local line=$1
  shift
  supervised_with -v "$@" >"$scratch/out" 2>"$scratch/log" && fail "it succeeds: $*"
  grep -qE "$line" "$scratch/log" || fail "no line '$line' for $*"
  supervised_with "$@" >"$scratch/out" 2>"$scratch/log"
  ! grep -qE "$line" "$scratch/log" || fail "without -v: a line '$line' for $*"
}
supervised_with() { timeout --kill-after=10 60 "$SHMVISOR" run "$@" </dev/null; }

who='thread [0-9]+ \(ipcmk\), user 0, fails with'
heading "limits"
tells "shmget of $who EINVAL: 8192 bytes are more than shmmax, 4096" --shmmax 4096 -- ipcmk -M 8192
tells "shmget of $who ENOSPC: 2 pages beside 0 of other segments are more than shmall, 1" --shmall 1 -- ipcmk -M 8192
tells "shmget of $who ENOSPC: there are 0 segments, and shmmni is 0" --shmmni 0 -- ipcmk -M 8192

heading "rights"
other="setpriv --reuid 65534 --regid 65534 --clear-groups"
tells 'shmctl of thread [0-9]+ \(ipcrm\), user 65534, fails with EPERM: the segment is user 0.s' -- \
  bash -c "made=\$(ipcmk -M 4096 -p 0600) && $other ipcrm -m \${made##* }"
cat >"$scratch/attach.py" <<'EOS'
import ctypes, os, sys
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
made = libc.shmget(0, ctypes.c_size_t(4096), 0o1640)
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
sys.exit(libc.shmat(made, None, 0) == ctypes.c_void_p(-1).value)
EOS
if command -v python3 >/dev/null; then
  tells 'shmat of thread [0-9]+ \(python3\), user 65534, fails with EACCES: the mode of the segment, 0640, does not grant 0666' \
    -- python3 "$scratch/attach.py"
fi
assert_kernel_table_empty
