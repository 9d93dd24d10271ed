#!/bin/bash
# Socket activation and watchdogs name the process that they are meant for; natively beside supervised.
. "$(dirname "$0")/../lib.sh" || exit 1
[ -x /usr/bin/python3 ] || skip "/usr/bin/python3 is missing (Debian package python3)"
need systemd-socket-activate systemd
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd

# What sd_listen_fds(3) checks, and an answer through the socket.
cat >server.py <<'END'
import os, socket
me = str(os.getpid())
answer = [f"LISTEN_PID {'mine' if os.environ.get('LISTEN_PID') == me else 'of another'}",
          f"LISTEN_FDS {os.environ.get('LISTEN_FDS')}", f"names {os.environ.get('LISTEN_FDNAMES')}"]
listening = socket.socket(fileno=3)
connection, _ = listening.accept()
connection.sendall(("\n".join(answer) + "\n").encode())
END
cat >client.py <<'END'
import socket, sys, time
for attempt in range(600):
    client = socket.socket(socket.AF_UNIX)
    try:
        client.connect(sys.argv[1])
        break
    except OSError:
        time.sleep(0.05)
while data := client.recv(4096):
    sys.stdout.write(data.decode())
END

# activated NAME PREFIX...
activated() {
  local name=$1
  shift
  rm -f socket
  timeout --kill-after=5 60 systemd-socket-activate --listen "$scratch/socket" --fdname=front \
    "$@" /usr/bin/python3 server.py 2>"$name.err" &
  timeout 60 /usr/bin/python3 client.py socket >"$name"
  wait $!
}
activated native
activated supervised "$SHMVISOR" run --
[ -s native ] || fail "nothing natively: $(cat native.err)"
diff -u native supervised || fail "activated: $(cat supervised.err)"

# Variables of a process that starts us; one that names somebody else is not ours to change.
cat >show.py <<'END'
import os
me = str(os.getpid())
def whose(name):
    value = os.environ.get(name)
    return "none" if value is None else "mine" if value == me else "1" if value == "1" else "another's"
print(*[f"{name} {whose(name)}" for name in ("LISTEN_PID", "WATCHDOG_PID", "SYSTEMD_EXEC_PID", "UNRELATED_PID")])
pidfd = os.pidfd_open(os.getpid())
inode = str(os.fstat(pidfd).st_ino)
print("LISTEN_PIDFDID", {None: "none", inode: "mine"}.get(os.environ.get("LISTEN_PIDFDID"), "another's"))
END
cat >start.py <<'END'
import os, sys
me = str(os.getpid())
mode, command = sys.argv[1], sys.argv[2:]
names = ["WATCHDOG_PID", "SYSTEMD_EXEC_PID"] if mode == "some" else ["LISTEN_PID", "WATCHDOG_PID", "SYSTEMD_EXEC_PID"]
for name in names:
    os.environ[name] = "1" if mode == "others" else me
if mode == "all":
    os.environ["LISTEN_PIDFDID"] = str(os.fstat(os.pidfd_open(os.getpid())).st_ino)
if mode == "others":
    os.environ["LISTEN_PIDFDID"] = "7"
os.execvp(command[0], command)
END
for mode in all some others; do
  for run in run "run --own-group"; do
    timeout 60 /usr/bin/python3 start.py "$mode" /usr/bin/python3 show.py >native 2>native.err
    # shellcheck disable=SC2086
    timeout 60 /usr/bin/python3 start.py "$mode" "$SHMVISOR" $run -- /usr/bin/python3 show.py >supervised 2>supervised.err
    diff -u native supervised || fail "$mode, $run: $(cat native.err supervised.err)"
  done
done
expect "others'" 'LISTEN_PID 1 WATCHDOG_PID 1 SYSTEMD_EXEC_PID 1 UNRELATED_PID none' "$(head -n 1 supervised)"
assert_silent supervised.err
assert_kernel_table_empty
