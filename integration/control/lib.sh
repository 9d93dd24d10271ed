# What the scripts of this folder share. Sourced by each of them, behind make_scratch.

export XDG_RUNTIME_DIR=$scratch/runtime
mkdir -m 700 "$XDG_RUNTIME_DIR"

client() { timeout --kill-after=10 60 "$SHMVISOR" "$@" </dev/null; }
answers() { client ls -q "$@" >/dev/null 2>&1; }

# start_run NAME [OPTION...] -- COMMAND...: in the background; its pid in $run. Returns when it answers.
start_run() {
  local name=$1
  shift
  "$SHMVISOR" run --name "$name" "$@" </dev/null >"$scratch/$name.out" 2>"$scratch/$name.log" &
  run=$!
  failure_log=$scratch/$name.log
  wait_until 20 answers --name "$name" || fail "the run $name does not answer"
}

# said STATUS PATTERN COMMAND...: the command's exit status, and a line that it writes to standard error.
said() {
  local status=$1 pattern=$2
  shift 2
  "$@" >"$scratch/said.out" 2>"$scratch/said"
  expect "exit status of $*" "$status" $?
  grep -qE "$pattern" "$scratch/said" || fail "no line '$pattern' of $*: $(cat "$scratch/said")"
}
squeezed() { sed -E 's/ +/ /g; s/ $//' | grep -v '^$'; }

# start_database NAME: PostgreSQL in a run of that name, with parallel queries one after another; false where it
# is not installed. stop_database ends it.
start_database() {
  ls -d /usr/lib/postgresql/*/bin >/dev/null 2>&1 || return 1
  database=$scratch/database
  install -d -o 65534 -g 65534 -m 700 "$database"
  install -m 755 "$(dirname "${BASH_SOURCE[0]}")/database.sh" "$scratch/database.sh"
  start_run "$1" -- setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all -- \
    bash "$scratch/database.sh" "$database"
  wait_until 120 test -e "$database/ready" || fail "PostgreSQL does not start: $(cat "$database"/*.log)"
}
stop_database() {
  rm -f "$database/ready"
  kill -INT "$run"
  wait "$run"
}
