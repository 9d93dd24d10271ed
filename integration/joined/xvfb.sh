#!/bin/bash
# An X server and its client, started as two commands: the images of MIT-SHM are the client's
# segments, which the server attaches.
. "$(dirname "$0")/../lib.sh" || exit 1
need Xvfb xvfb
need x11perf x11-apps
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd
mkdir -p -m 1777 /tmp/.X11-unix

timeout --kill-after=10 220 "$SHMVISOR" run --serve socket -- \
  Xvfb -displayfd 3 -screen 0 1024x768x24 -ac -nolisten tcp 3>display 2>server.log &
server=$!
wait_until 60 test -s display || fail "no display: $(cat server.log)"
DISPLAY=:$(cat display) timeout --kill-after=10 150 "$SHMVISOR" run --join socket -- \
  x11perf -repeat 1 -time 1 -shmput10 -shmget500 >out 2>err || fail "x11perf: $?: $(cat out err server.log)"
kill "$server"
wait "$server"
expect "status of Xvfb" 0 $?
for test in '10x10' '500x500'; do
  grep -Eq "^ *[0-9]+ reps @ .*$test" out || fail "no figure for $test: $(cat out server.log)"
done
if grep -Eqi 'shm.*(fail|not|error)|BadAccess|shmvisor' out err server.log; then
  fail "shared memory was refused: $(cat out err server.log)"
fi
assert_kernel_table_empty
