# Somebody lowers the supervisor's RLIMIT_NOFILE below the number of its descriptors: the run goes on.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
need ipcmk util-linux
need prlimit util-linux

run_lowered() { timeout --kill-after=10 60 "$SHMVISOR" run "$@" </dev/null; }

heading "calls fail with ENOMEM meanwhile, and nothing is lost"
# shellcheck disable=SC2016
run_lowered -- bash -c '
  made=$(ipcmk -M 4096) && made=${made##* }
  prlimit --pid "$PPID" --nofile=0:4096 || exit 1
  sleep 0.3
  LC_ALL=C ipcrm -m "$made" 2>&1 | grep -q "Cannot allocate memory" || exit 2
  prlimit --pid "$PPID" --nofile=1024:4096 || exit 3
  ipcs -m -i "$made" | grep -q "bytes=4096" || exit 4
  ipcrm -m "$made" || exit 5
  exit 42' 2>"$scratch/log" || status=$?
[ "${status:-0}" = 42 ] || fail "status ${status:-0}: $(cat "$scratch/log")"

heading "signals reach the command"
# shellcheck disable=SC2016
"$SHMVISOR" run -- bash -c '
  trap "exit 43" USR1
  prlimit --pid "$PPID" --nofile=0:0 || exit 1
  touch "$1"
  for _ in $(seq 600); do sleep 0.05; done
  exit 44' _ "$scratch/ready" &
supervisor=$!
for _ in $(seq 200); do [ ! -e "$scratch/ready" ] || break; sleep 0.05; done
kill -USR1 "$supervisor"
status=0
wait "$supervisor" || status=$?
[ "$status" = 43 ] || fail "status $status"
