#!/bin/bash
# The X server's MIT-SHM extension: x11perf's client and Xvfb share images.
. "$(dirname "$0")/../lib.sh" || exit 1
need Xvfb xvfb
need x11perf x11-apps
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd
mkdir -p -m 1777 /tmp/.X11-unix

cat >session <<'END'
set -u
Xvfb -displayfd 3 -screen 0 1024x768x24 -ac -nolisten tcp 3>display 2>server.log &
server=$!
for _ in $(seq 600); do
  [ -s display ] && break
  kill -0 "$server" || exit 3
  sleep 0.1
done
DISPLAY=:$(cat display)
export DISPLAY
x11perf -repeat 1 -time 1 -shmput10 -shmget500
status=$?
kill "$server"
wait "$server"
exit "$status"
END
bound_seconds=200 supervised bash session >out 2>err ||
  fail "status $?: $(cat out err server.log)"
assert_silent err
for test in '10x10' '500x500'; do
  grep -Eq "^ *[0-9]+ reps @ .*$test" out || fail "no figure for $test: $(cat out server.log)"
done
if grep -Eqi 'shm.*(fail|not|error)|BadAccess' out server.log; then
  fail "shared memory was refused: $(cat out server.log)"
fi
assert_kernel_table_empty
