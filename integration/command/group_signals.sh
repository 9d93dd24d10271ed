#!/bin/bash
# A signal for a whole process group reaches the command once, as one for shmvisor alone does; natively beside
# supervised.
. "$(dirname "$0")/../lib.sh" || exit 1
[ -x /usr/bin/python3 ] || skip "/usr/bin/python3 is missing (Debian package python3)"
programs=$1
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd
session=$(realpath "$OLDPWD/$(dirname "$0")/group_signals.py" 2>/dev/null || realpath "$(dirname "$0")/group_signals.py")

timeout --kill-after=5 150 /usr/bin/python3 -B "$session" "$programs/command_signal_log" >native 2>native.err ||
  fail "natively: status $?: $(cat native native.err)"
for options in "" --subreaper --die-with-parent --no-kill; do
  # shellcheck disable=SC2086
  timeout --kill-after=5 250 /usr/bin/python3 -B "$session" "$SHMVISOR" run $options -- "$programs/command_signal_log" \
    >supervised 2>supervised.err || fail "supervised $options: status $?: $(cat supervised supervised.err)"
  diff -u native supervised || fail "supervised $options: $(cat supervised.err)"
done
assert_silent supervised.err

# Inits that signal the group of what they started, where they are there.
inits() {
  local prefix=$1
  shift
  : >out
  "$@" $prefix "$programs/command_signal_log" >out 2>init.err &
  local init=$!
  wait_until 30 grep -q ready out || fail "$*: the command did not start: $(cat init.err)"
  for _ in 1 2 3; do
    kill -TERM "$init"
    sleep 0.3
  done
  kill -USR2 "$init"
  wait "$init"
  echo "$1 $?: $(sort out | uniq -c | tr -s '\n ' ' ')"
}
for init in "tini -s -g --" "dumb-init"; do
  command -v "${init%% *}" >/dev/null || { echo "note: no ${init%% *} here"; continue; }
  # shellcheck disable=SC2086
  expect "$init" "$(inits "" $init)" "$(inits "$SHMVISOR run --" $init)"
done

# The idiom of entrypoints: a script that tells its whole group to end, and so itself.
cat >script <<'END'
trap 'echo trapped; trap - TERM; kill 0' TERM
sleep 1000 &
echo $$ >pid
wait
END
for prefix in "" "$SHMVISOR run --"; do
  rm -f pid
  # shellcheck disable=SC2086
  setsid $prefix bash script >trapped 2>script.err &
  wait_until 30 test -s pid || fail "the script did not start"
  pid=$(cat pid)
  kill -TERM "$pid"
  ended() { ! kill -0 "$pid" 2>/dev/null; }
  wait_until 20 ended || fail "'$prefix': the script lives on"
  expect "'$prefix'" trapped "$(cat trapped)"
  wait
done

# What reached the process that stands in the group for shmvisor alone (pkill does that), and not shmvisor, takes
# nothing from what is sent to shmvisor. The group's number may be unknown here: its leader is outside.
for prefix in '' setsid; do
  rm -f log
  $prefix "$SHMVISOR" run -- "$programs/command_signal_log" >log 2>log.err &
  wait_until 30 grep -q ready log || fail "the command did not start: $(cat log.err)"
  shmvisor=$(pgrep -o -x shmvisor) witness=$(pgrep -o -x signal-witness)
  group=$(ps -o pgid= -p "$shmvisor")
  for _ in 1 2 3; do
    env kill -USR1 "$witness"
    sleep 0.05
    env kill -USR1 "$shmvisor"
    sleep 0.2
  done
  expect "the group of shmvisor ($prefix)" "$group" "$(ps -o pgid= -p "$shmvisor")"
  kill -USR2 "$shmvisor"
  wait
  expect "signals to shmvisor alone ($prefix)" 'ready signal 10 signal 10 signal 10 signal 12 ' "$(tr '\n' ' ' <log)"
done

# A timer that was set before shmvisor was started is the command's.
for prefix in "" "$SHMVISOR run --"; do
  # shellcheck disable=SC2086
  perl -e 'alarm 1; exec @ARGV' -- $prefix sleep 100
  expect "the alarm ($prefix)" 142 $?
done
assert_kernel_table_empty
