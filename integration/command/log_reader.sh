#!/bin/bash
# Nobody reads the log: standard error is a full pipe, or a terminal that Ctrl-S stopped. Calls are served, signals are
# forwarded and the run ends all the same; what could not be written is counted, and told when somebody reads again.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
need python3 python3
need ipcmk util-linux
cd "$scratch" || fail cd

cat >calls.py <<'END'
import ctypes, errno, os, signal, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
for number in range(3000):
    made = libc.shmget(0, ctypes.c_size_t(4096), 0o1600)
    at = libc.shmat(made, None, 0)
    assert made >= 0 and at != ctypes.c_void_p(-1).value, (made, at)
    assert libc.shmdt(ctypes.c_void_p(at)) == 0 and libc.shmctl(made, 0, None) == 0
    # A limit refuses it, and -v tells which.
    assert libc.shmget(0, ctypes.c_size_t(1 << 20), 0o1600) == -1 and ctypes.get_errno() == errno.EINVAL
print("served", flush=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(42))
print(open("/proc/sysvipc/shm").read().split()[0], flush=True)
if "stay" in sys.argv:
    signal.pause()
END

cat >unread.py <<'END'
"""unread.py pipe|terminal WHAT SHMVISOR ARGUMENT...: starts it with a standard error that takes nothing, and prints what
the command says, and the exit status. WHAT: `wait` for the end; `signal`: SIGTERM, when all is said; `read`: the log,
and then SIGTERM."""
import os, pty, select, subprocess, sys, termios
kind, what = sys.argv[1], sys.argv[2]
if kind == "pipe":
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"." * 4096)
    except BlockingIOError:
        pass
    os.set_blocking(writer, True)
else:
    reader, writer = pty.openpty()
    termios.tcflow(writer, termios.TCOOFF)
run = subprocess.Popen(sys.argv[3:], stdout=subprocess.PIPE, stderr=writer)
said = [run.stdout.readline().decode().strip() for _ in range(2)]
text = b""
if what == "read":
    if kind == "terminal":
        termios.tcflow(writer, termios.TCOON)
    while b"were lost" not in text:
        assert select.select([reader], [], [], 60)[0], "nothing of the log comes"
        text = text[-100:] + os.read(reader, 65536)
if what != "wait":
    run.terminate()
print(*said, "status", run.wait())
END

# The bound is far above what 15,000 calls take.
unread() { timeout --kill-after=10 120 python3 unread.py "$@" </dev/null 2>err || fail "$*: status $?, $(cat err)"; }
ran="$SHMVISOR run --shmmax 4096"
for kind in pipe terminal; do
  heading "$kind"
  expect "$kind: it goes on" "served key status 42" "$(unread $kind signal $ran -vv -- python3 calls.py stay)"
  expect "$kind: it ends" "served key status 0" "$(unread $kind wait $ran -vv -- python3 calls.py)"
  expect "$kind: lost lines are told" "served key status 42" "$(unread $kind read $ran -vv -- python3 calls.py stay)"
done

heading "all lines are written before the end, in their order"
"$SHMVISOR" run --shmmax 4096 -vv -- python3 calls.py >out 2>log || fail "status $?"
expect "lines about calls" 15000 "$(grep -c ': thread [0-9]*: call ' log)"
! grep -q 'were lost' log || fail "lost lines: $(grep 'were lost' log)"
assert_kernel_table_empty
