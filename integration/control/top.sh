#!/bin/bash
# top in a real terminal: what it shows, in 80x24 and other sizes, its keys, its end and that of the run; and
# that the terminal is as before when it has ended.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/lib.sh" || exit 1
need python3 python3
need tmux tmux

terminal() { TMUX_TMPDIR=$scratch tmux -f /dev/null "$@"; }
screen() { terminal capture-pane -p -t top; }
shows() { screen | grep -qE -e "$1"; }
shown() { wait_until 30 shows "$1" || fail "the screen does not show '$1': $(screen)"; }
key() { terminal send-keys -t top "$1"; }
# The last line that is there, and the widest.
height() { screen | awk 'length { last = NR } END { print last }'; }
width() { screen | awk '{ if (length > most) most = length } END { print most }'; }
# in_terminal WORD...: runs it in the terminal, with the terminal's modes before and behind it in files.
in_terminal() {
  rm -f "$scratch/status"
  printf 'stty -a >%q; ' "$scratch/before" >"$scratch/command"
  printf '%q ' "$@" >>"$scratch/command"
  printf '; status=$?; stty -a >%q; echo $status >%q\n' "$scratch/after" "$scratch/status" >>"$scratch/command"
  terminal send-keys -t top ". $scratch/command" Enter
}
ended() {
  wait_until 30 test -s "$scratch/status" || fail "it does not end: $(screen)"
  expect "exit status" "$1" "$(cat "$scratch/status")"
  expect "modes of the terminal" "$(cat "$scratch/before")" "$(cat "$scratch/after")"
  # The shell's own screen is there again.
  shown '^ready:'
  ! shows 'q quit' || fail "the page is still there: $(screen)"
}

cat >"$scratch/calls.py" <<'EOS'
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
big = libc.shmget(0x77, ctypes.c_size_t(3 << 20), 0o1640)
libc.shmget(0x78, ctypes.c_size_t(4096), 0o1640)
libc.shmat(big, None, 0)
libc.shmat(big, None, 0)
for number in range(40):
    libc.shmget(0x1000 + number, ctypes.c_size_t(100), 0o1600)
if os.fork() == 0:
    libc.shmget(0x2000, ctypes.c_size_t(2 << 20), 0o1600)
    os._exit(0)
os.wait()
libc.shmget(0x79, ctypes.c_size_t(1 << 30), 0o1600)
os.utime(sys.argv[0])
open(sys.argv[1] + "/ready", "w").close()
while not os.path.exists(sys.argv[1] + "/over"):
    libc.shmget(0x77, ctypes.c_size_t(0), 0)
    time.sleep(0.01)
EOS
start_run web --shmmax 4M --shmmni 100 -- python3 "$scratch/calls.py" "$scratch"
wait_until 30 test -e "$scratch/ready" || fail "the command does not come so far"
PS1='ready: ' terminal new-session -d -s top -x 80 -y 24 "env PS1='ready: ' XDG_RUNTIME_DIR=$XDG_RUNTIME_DIR bash --norc" ||
  fail "no terminal"
trap 'terminal kill-server 2>/dev/null; rm -rf --one-file-system "$scratch"' EXIT
shown '^ready:'

heading "80 columns, 24 lines"
in_terminal "$SHMVISOR" top --name web
shown "^shmvisor top: run web \(pid $run\)"
shown '^43 segments, 0 removed, 2 attaches; 5\.2 MiB, [^,]* in RAM, [^,]* swap$'
shown '^shmget +[0-9.]+ \[#+ *\] +[0-9]+ +1 '
shown '^refused by: shmmax 1'
shown '^main +\[#+ *\] 43 of 100 .* of no limit$'
shown '^ +0 0x00000077 root +3\.0 MiB +[0-9.]+ K?i?B +2 [0-9]+ python3 +\[#+ *\]'
shown '^ +42 0x00002000 .* [0-9]+ ended +\[#'
rate() { screen | awk '$1 == "shmget" { print int($2) }'; }
calls() { [ "$(rate)" -gt 0 ]; }
wait_until 30 calls || fail "no rate of calls: $(screen)"
expect "the last line" 24 "$(height)"
[ "$(width)" -le 80 ] || fail "a line is $(width) wide: $(screen)"

heading "keys"
key s
shown 'now by nattch'
key s
shown 'now by shmid'
key Down
scrolled() { shows '^ +1 0x00000078' && ! shows '^ +0 0x00000077'; }
wait_until 20 scrolled || fail "it does not scroll: $(screen)"
key NPage
key NPage
key NPage
key NPage
key NPage
shown '^ +42 0x00002000'
key x
key q
ended 0

heading "other sizes"
in_terminal "$SHMVISOR" top --name web --delay 0.2
shown '^shmvisor top: run web'
terminal resize-window -t top -x 120 -y 50
large() { [ "$(height)" = 50 ] && [ "$(width)" -gt 80 ]; }
wait_until 30 large || fail "it does not grow to 120x50: $(screen)"
terminal resize-window -t top -x 50 -y 10
small() { [ "$(height)" = 10 ] && [ "$(width)" -le 50 ] && shows '^shmvisor top: run web'; }
wait_until 30 small || fail "it does not shrink to 50x10: $(screen)"
terminal resize-window -t top -x 1 -y 1
sleep 0.5
terminal resize-window -t top -x 80 -y 24
usual() { [ "$(height)" = 24 ] && shows 'SHMID'; }
wait_until 30 usual || fail "it is not as before: $(screen)"

heading "a run that is stopped"
kill -STOP "$run"
shown "the run web \(pid $run\) does not answer"
key q
ended 0
kill -CONT "$run"

heading "signals"
for signal in INT TERM HUP; do
  in_terminal "$SHMVISOR" top --name web
  shown '^shmvisor top: run web'
  top=$(pgrep -f "^$SHMVISOR top") || fail "there is no top"
  kill "-$signal" "$top"
  ended 0
done
in_terminal "$SHMVISOR" top --name web
shown '^shmvisor top: run web'
key C-c
ended 0

heading "the end of the run"
in_terminal "$SHMVISOR" top --name web
shown '^shmvisor top: run web'
touch "$scratch/over"
wait "$run"
ended 0
shown "^the run web \(pid $run\) has ended$"

heading "PostgreSQL"
if start_database db; then
  in_terminal env SHMVISOR_DELAY=0.3 "$SHMVISOR" top --name db
  shown '^shmvisor top: run db'
  shown ' postgres .*\[#'
  calls_of_database() { screen | awk '$1 == "shmat" && $2 > 0 { found = 1 } END { exit !found }'; }
  wait_until 60 calls_of_database || fail "no calls of parallel queries: $(screen)"
  key q
  ended 0
  stop_database
else
  echo "not tried, PostgreSQL is missing"
fi

heading "where there is no such terminal"
start_run web -- sleep 1000
in_terminal env TERM=dumb "$SHMVISOR" top
ended 1
shown "^shmvisor: the terminal 'dumb' cannot move its cursor; use shmvisor ls"
in_terminal env TERM=nonsense "$SHMVISOR" top
ended 1
shown "^shmvisor: nothing is known of the terminal 'nonsense'"
said 1 "top needs a terminal" client top
said 125 "" client top --delay 0
kill "$run"
assert_kernel_table_empty
