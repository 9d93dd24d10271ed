#!/bin/bash
# Where orphans go, natively beside supervised: to init or the nearest subreaper above, whatever stands between. They are
# served and counted there, and shmvisor stays until the last one has ended.
. "$(dirname "$0")/../lib.sh" || exit 1
[ -x /usr/bin/python3 ] || skip "/usr/bin/python3 is missing (Debian package python3)"
programs=$1
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd

# A worker that waits for its parent's end as old daemons do, and says whose child it is then.
cat >worker.py <<'END'
import os, sys, time
above, out = sys.argv[1], sys.argv[2]
parent = os.getpid()
if os.fork() == 0:
    os.setsid()
    deadline = time.monotonic() + 20
    while os.getppid() == parent and time.monotonic() < deadline:
        time.sleep(0.01)
    now = os.getppid()
    with open(out + ".new", "w") as file:
        print("init" if now == 1 else "the subreaper" if str(now) == above else "still the parent" if now == parent else "another", file=file)
    os.rename(out + ".new", out)
    os._exit(0)
END
# As a subreaper, with shmvisor or nothing between it and the worker.
cat >subreaper.py <<'END'
import ctypes, os, subprocess, sys
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
out, prefix = sys.argv[1], sys.argv[2:]
subprocess.run(prefix + ["/usr/bin/python3", "worker.py", str(os.getpid()), out], check=True)
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
END
heading "whose children they are"
for prefix in "" "$SHMVISOR run --" "$SHMVISOR run --own-group --"; do
  rm -f out
  # shellcheck disable=SC2086
  timeout 60 $prefix /usr/bin/python3 worker.py none out 2>err || fail "'$prefix': status $?: $(cat err)"
  wait_until 30 test -e out || fail "'$prefix': the worker waits for ever"
  expect "'$prefix'" init "$(cat out)"
  rm -f out
  # shellcheck disable=SC2086
  timeout 60 /usr/bin/python3 subreaper.py out $prefix 2>err || fail "'$prefix', a subreaper above: status $?: $(cat err)"
  wait_until 30 test -e out || fail "'$prefix', a subreaper above: the worker waits for ever"
  expect "'$prefix', a subreaper above" "the subreaper" "$(cat out)"
done

heading "--subreaper"
rm -f out
timeout 60 "$SHMVISOR" run --subreaper -- /usr/bin/python3 worker.py none out 2>err || fail "status $?: $(cat err)"
expect "with --subreaper" another "$(cat out)"

heading "a command that was started as a subreaper"
cat >marked.py <<'END'
import ctypes, os, sys
ctypes.CDLL(None).prctl(36, int(sys.argv[1]), 0, 0, 0)
os.execvp(sys.argv[2], sys.argv[2:])
END
cat >mark.py <<'END'
import ctypes
value = ctypes.c_int(-1)
ctypes.CDLL(None).prctl(37, ctypes.byref(value), 0, 0, 0)
print(value.value)
END
for mark in 0 1; do
  for prefix in "" "$SHMVISOR run --" "$SHMVISOR run --subreaper --"; do
    # shellcheck disable=SC2086
    expect "'$prefix' with $mark" "$mark" "$(timeout 60 /usr/bin/python3 marked.py "$mark" $prefix /usr/bin/python3 mark.py)"
  done
done

heading "orphans are counted, in whatever session, and after an exec"
# attached KIND: a process attaches, forks, and ends; what is left is an orphan that maps the segment.
cat >orphan.py <<'END'
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
made = libc.shmget(0, 4096, 0o1600)
read_end, write_end = os.pipe()
if os.fork() == 0:
    libc.shmat(made, None, 0)
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.write(write_end, b"x")
            while os.path.exists("hold"):
                time.sleep(0.02)
            os._exit(0)
        os._exit(0)
    os._exit(0)
os.wait()
os.read(read_end, 1)
time.sleep(0.2)
stat = (ctypes.c_ulong * 64)()
libc.shmctl(made, 2, stat)
print("nattch", stat[11])
libc.shmctl(made, 0, None)
sys.stdout.flush()
END
for prefix in "unshare --ipc" "$SHMVISOR run --" "$SHMVISOR run --subreaper --" "$SHMVISOR run --without pidfd-get-info --"; do
  touch hold
  case $prefix in unshare*) ;; *) log=counted.err ;; esac
  # shellcheck disable=SC2086
  timeout 60 $prefix /usr/bin/python3 orphan.py >counted 2>"${log:-native.err}" &
  wait_until 30 test -s counted || fail "'$prefix': nothing was counted: $(cat ./*.err)"
  expect "'$prefix'" "nattch 1" "$(cat counted)"
  [ "${prefix#unshare}" != "$prefix" ] || kill -0 $! || fail "'$prefix': shmvisor did not stay for the orphan"
  rm hold
  wait $! || fail "'$prefix': status $?: $(cat ./*.err)"
  : >counted
done

heading "joined runs"
"$SHMVISOR" run --serve socket -- sh -c 'while [ ! -e over ]; do sleep 0.05; done' 2>server.err &
server=$!
wait_until 30 test -S socket || fail "no server: $(cat server.err)"
touch hold
rm counted
timeout 60 "$SHMVISOR" run --join socket -- /usr/bin/python3 orphan.py >counted 2>joined.err &
joined=$!
wait_until 30 test -s counted || fail "nothing was counted: $(cat joined.err)"
expect "joined" "nattch 1" "$(cat counted)"
kill -0 "$joined" || fail "the joined shmvisor did not stay for the orphan"
rm hold
wait "$joined" || fail "the joined shmvisor ended with $?: $(cat joined.err)"
begun=${EPOCHREALTIME/./}
for _ in 1 2 3 4 5; do
  timeout 60 "$SHMVISOR" run --join socket -- true 2>joined.err || fail "joining: $?: $(cat joined.err)"
done
[ $(((${EPOCHREALTIME/./} - begun) / 5000)) -lt 900 ] || fail "a joined run takes $(((${EPOCHREALTIME/./} - begun) / 5000)) ms"
touch over
wait "$server" || fail "the server ended with $?: $(cat server.err)"

heading "a lingering shmvisor ends when it is told to"
touch hold
rm counted
"$SHMVISOR" run -- /usr/bin/python3 orphan.py >counted 2>told.err &
shmvisor=$!
wait_until 30 test -s counted || fail "nothing was counted: $(cat told.err)"
no_child_of() { ! pgrep -P "$1"; }
wait_until 30 no_child_of "$shmvisor" || fail "the command does not end"
kill -TERM "$shmvisor"
wait "$shmvisor"
expect "the command's status" 0 $?
rm hold
: "$programs"
assert_kernel_table_empty
