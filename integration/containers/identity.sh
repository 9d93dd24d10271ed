#!/bin/bash
# identity.sh ORACLE_FOLDER HOSTILE: commands that become another user, under a root that has no
# capability but CAP_SETUID and CAP_SETGID, as in a container with --cap-drop ALL: what is served all
# the same, what is out of reach and told once, and that a hostile caller gets nothing out of it.
. "$(dirname "$0")/../lib.sh" || exit 1
need busybox busybox-static
oracles=$1
hostile=$2
enter_namespaces "$@"
make_scratch
copy_shmvisor_to_scratch
install -m 755 "$hostile" "$scratch/hostile" || fail install
cd "$scratch" || fail cd

weak() { timeout --kill-after=10 120 setpriv --bounding-set=-all,+setuid,+setgid --inh-caps=-all -- "$@"; }
user='setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all --'
expect "the capabilities" 00000000000000c0 "$(weak sed -n 's/^CapEff:\t//p' /proc/self/status)"

# What the programs of the oracle see, each call of theirs, does not depend on who serves them.
for name in concurrency exec_in_the_middle identifiers kills memory nattch registers removal shmdt \
  signals times; do
  install -m 755 "$oracles/oracle_$name" "$scratch/oracle" || fail install
  # shellcheck disable=SC2086
  timeout 120 unshare --ipc $user ./oracle >native 2>native.err || fail "$name: natively: $?"
  # shellcheck disable=SC2086
  weak "$SHMVISOR" run -- $user ./oracle >supervised 2>supervised.err ||
    fail "$name: supervised: $?: $(cat supervised.err)"
  diff -u native supervised || fail "$name: the transcripts differ"
  diff -u native.err supervised.err || fail "$name: standard error differs"
done

cat >attach.py <<'END'
"""attach.py [foreign]: three attaches of a segment of its own; prints what came of each."""
import ctypes, errno, os, sys, time

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
IPC_CREAT, IPC_RMID, CLONE_NEWUSER = 0o1000, 0, 0x10000000

if "exec" not in sys.argv:
    if os.getuid() == 0:
        os.setgid(1000)
        os.setuid(1000)
    if "foreign" in sys.argv:
        # Somebody else maps our ids to another user, which we then become.
        if libc.unshare(CLONE_NEWUSER) != 0:
            sys.exit("unshare: " + os.strerror(ctypes.get_errno()))
        with open("pid.new", "w") as file:
            file.write(str(os.getpid()))
        os.rename("pid.new", "pid")
        while not os.path.exists("mapped"):
            time.sleep(0.05)
        os.setgid(0)
        os.setuid(0)
        os.execv(sys.executable, [sys.executable, __file__, "exec"])

segment = libc.shmget(0, 4096, IPC_CREAT | 0o600)
for _ in range(3):
    failed = libc.shmat(segment, None, 0) == ctypes.c_void_p(-1).value
    print(errno.errorcode[ctypes.get_errno()] if failed else "ok")
libc.shmctl(segment, IPC_RMID, None)
END
chmod 755 attach.py
python=/usr/bin/python3
[ -x $python ] || skip "$python is missing (Debian package python3)"

# prints WANTED WORD_OF_THE_ONE_WARNING COMMAND...: no warning where the word is empty.
prints() {
  local wanted=$1 word=$2
  shift 2
  "$@" >out 2>err || fail "$*: $?: $(cat err)"
  expect "$*" "$wanted" "$(tr '\n' ' ' <out)"
  if [ -z "$word" ]; then
    assert_silent err
  else
    expect "$*: warnings: $(cat err)" 1 "$(wc -l <err)"
    grep -q "$word.*CAP_SYS_PTRACE" err || fail "$*: no such warning: $(cat err)"
  fi
}
refused='EACCES EACCES EACCES '
served='ok ok ok '

# Became another user without an exec: the kernel lets only CAP_SYS_PTRACE in.
prints "$refused" 'without an exec' weak "$SHMVISOR" run -- $python attach.py
prints "$served" '' supervised $python attach.py
# Each of the four calls, once the process that attached before is out of reach.
cat >change.py <<'END'
"""change.py [undumpable]: attaches, changes its user or makes itself undumpable, and calls."""
import ctypes, errno, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmdt.argtypes = [ctypes.c_void_p]
def tell(result):
    failed = result in (-1, ctypes.c_void_p(-1).value)
    print(errno.errorcode[ctypes.get_errno()] if failed else "ok")
    return result
attached = libc.shmat(libc.shmget(0, 4096, 0o1666), None, 0)
if "undumpable" in sys.argv:
    libc.prctl(4, 0)  # PR_SET_DUMPABLE
else:
    os.setgid(1000)
    os.setuid(1000)
segment = tell(libc.shmget(0, 4096, 0o1600))
tell(libc.shmat(segment, None, 0))
tell(libc.shmctl(segment, 2, ctypes.create_string_buffer(112)))  # IPC_STAT
tell(libc.shmdt(attached))
tell(libc.shmctl(segment, 0, None))  # IPC_RMID
END
prints 'ok EACCES EFAULT EINVAL ok ' 'without an exec' weak "$SHMVISOR" run -- $python change.py
prints 'ok EACCES EFAULT EINVAL ok ' 'undumpable' weak "$SHMVISOR" run -- $python change.py undumpable
prints 'ok EACCES EFAULT EINVAL ok ' 'undumpable' as_user "$SHMVISOR" run -- $python change.py undumpable
for how in '' undumpable; do
  prints 'ok ok ok ok ok ' '' supervised $python change.py $how
done

# By other means than setpriv.
prints "$served" '' weak "$SHMVISOR" run -- busybox su -s /bin/sh nobody -c "exec $python attach.py exec"
cat >exec.py <<'END'
"""As gosu and su-exec do it: in one process, with an exec at the end."""
import os, sys
os.setgroups([])
os.setresgid(1000, 1000, 1000)
os.setresuid(1000, 1000, 1000)
os.execvp(sys.argv[1], sys.argv[1:])
END
prints "$served" '' weak "$SHMVISOR" run -- $python exec.py $python attach.py exec

# In a user namespace that the same user made.
# shellcheck disable=SC2086
prints "$served" '' weak "$SHMVISOR" run -- $user unshare --user --map-root-user $python attach.py exec

# In a user namespace as somebody who did not make it.
install -d -o 1000 -g 1000 foreign
foreign() {
  rm -f foreign/*
  cp attach.py foreign/
  (
    cd foreign || exit 1
    wait_until 60 test -e pid || exit 1
    echo '0 5000 1' >"/proc/$(cat pid)/uid_map" && echo '0 5000 1' >"/proc/$(cat pid)/gid_map"
    touch mapped
  ) &
  # shellcheck disable=SC2086
  "$@" "$SHMVISOR" run -- $user sh -c "cd foreign && exec $python attach.py foreign"
}
prints "$refused" 'user namespace' foreign weak
prints "$served" '' foreign timeout 120

# A full table of descriptors, of another user.
cat >full.py <<'END'
import ctypes, os, resource
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
segment = libc.shmget(0, 4096, 0o1600)
try:
    while True:
        os.dup(0)
except OSError:
    pass
print("ok" if libc.shmat(segment, None, 0) != ctypes.c_void_p(-1).value else ctypes.get_errno())
END
# shellcheck disable=SC2086
prints 'ok ' '' weak "$SHMVISOR" run -- $user $python full.py

# Mappings of processes of several users are counted together.
cat >count.py <<'END'
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
segment = libc.shmget(0, 4096, 0o1666)
children = []
ready, ready_to_write = os.pipe()
end, end_to_write = os.pipe()
for uid in (0, 1000, 2000):
    if os.fork() == 0:
        os.close(end_to_write)
        program = ("import ctypes, os, sys; libc = ctypes.CDLL(None); libc.shmat.restype = ctypes.c_void_p;"
                   f"attached = libc.shmat({segment}, None, 0) not in (None, 2**64 - 1);"
                   "os.write(1, f'{attached}\\n'.encode());"  # one write: three of them share the pipe
                   f"os.write({ready_to_write}, b'.'); os.read({end}, 1)")
        for fd in (ready_to_write, end):
            os.set_inheritable(fd, True)
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os.execv(sys.executable, [sys.executable, "-c", program])
for _ in range(3):
    os.read(ready, 1)
buffer = ctypes.create_string_buffer(112)
libc.shmctl(segment, 2, buffer)
print(int.from_bytes(buffer.raw[88:96], "little"))
os.close(end_to_write)
for _ in range(3):
    os.wait()
libc.shmctl(segment, 0, None)
END
prints 'True True True 3 ' '' weak "$SHMVISOR" run -- $python count.py

# Signals to a command of another user, without CAP_KILL; and to all of a group of several users.
ends_by_term() {
  "$SHMVISOR" run "$@" 2>err &
  local shmvisor=$!
  wait_until 30 test -e started || fail "the command did not start: $(cat err)"
  kill -TERM "$shmvisor"
  wait "$shmvisor"
  status=$?
  rm -f started
}
export -f ends_by_term wait_until fail
export SHMVISOR
chmod 777 .
# shellcheck disable=SC2016
weak bash -c 'ends_by_term -- setpriv --reuid 1000 --regid 1000 --clear-groups -- \
  bash -c "touch started; exec sleep 1000"; exit "$status"'
expect "SIGTERM to a command of another user" 143 $?
# shellcheck disable=SC2016
weak bash -c 'ends_by_term --group -- bash -c "
    trap \"wait; exit 9\" TERM
    setpriv --reuid 1000 --regid 1000 --clear-groups -- bash -c \"touch started; exec sleep 1000\" &
    wait"; exit "$status"'
expect "SIGTERM to a group of several users" 9 $?
! pgrep -x sleep || fail "a member of the group lives on"

# As PID 1, against a caller that wants to trace, read, kill or stop the thread that has its ids.
cat >session <<'END'
id=$(ipcmk -M 4096 -p 0666)
setpriv --reuid 1000 --regid 1000 --clear-groups -- ./hostile 1 "${id##* }"
END
timeout --kill-after=10 120 unshare --pid --fork --kill-child --mount-proc \
  setpriv --bounding-set=-all,+setuid,+setgid --inh-caps=-all -- "$SHMVISOR" run -- bash session >out 2>err ||
  fail "hostile: $?: $(cat out err)"
expect "what a hostile caller got" 'failed attaches 0
ptrace 0
memory 0
descriptors 0' "$(cat out)"
grep '^signals delivered' err
assert_kernel_table_empty
