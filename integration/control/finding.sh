#!/bin/bash
# How a client finds its run, and how a run without --name and --control opens nothing.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/lib.sh" || exit 1
need setpriv util-linux

heading "only who asks for a socket has one"
"$SHMVISOR" run -- sleep 1000 &
plain=$!
started() { [ "$(cat "/proc/$plain/task/$plain/children" 2>/dev/null | wc -w)" -ge 1 ]; }
wait_until 20 started || fail "it does not start"
said 1 "no run of this user has a control socket; a run opens one with --name" client ls
[ ! -e "$XDG_RUNTIME_DIR/shmvisor" ] || fail "it made a folder"
expect "sockets that it listens at" 0 "$(grep -c "$scratch" /proc/net/unix)"

heading "one, and more than one"
start_run one -- sleep 1000
first=$run
answers || fail "the only one is not found"
start_run two -- sleep 1000
said 1 "more than one run has a control socket; choose one by --name or --pid: one \(pid $first\), two \(pid $run\)" client ls
answers --name two || fail "it is not found by its name"
answers --pid "$first" || fail "it is not found by its pid"
said 1 "no run is called 'three'; there is: one" client ls --name three
said 1 "no run has pid 1; there is: one" client ls --pid 1
said 125 "another run or agent serves .*/one.control; choose another --name" client run --name one -- true
expect "modes" "700 600" \
  "$(stat -c %a "$XDG_RUNTIME_DIR/shmvisor") $(stat -c %a "$XDG_RUNTIME_DIR/shmvisor/one.control")"

heading "one that is stopped"
(while [ ! -e "$scratch/stopped" ]; do sleep 0.1; done; echo x) |
  timeout --kill-after=10 60 "$SHMVISOR" load --name two >"$scratch/loaded" 2>"$scratch/load.said" &
loading=$!
# Behind its hello it takes what standard input has.
takes_input() { find /proc/[0-9]*/fd -lname '*memfd:shmvisor-load*' 2>/dev/null | grep -q .; }
wait_until 20 takes_input || fail "load does not come so far: $(cat "$scratch/load.said")"
kill -STOP "$run"
answers --name one || fail "a run that is stopped keeps clients of another one out"
stopped="two \(pid $run\) does not answer: it is stopped; SIGCONT, or fg in its shell, lets it go on$"
said 1 "^shmvisor: more than one run .*: one \(pid $first\); $stopped" client ls
said 1 "^shmvisor: $stopped" client ls --name two
said 1 "^shmvisor: $stopped" client ls --pid "$run"
said 1 "^shmvisor: no run is called 'three'; there is: one \(pid $first\)$" client ls --name three
# Also behind its hello.
touch "$scratch/stopped"
wait "$loading"
expect "exit status" 1 $?
grep -q "^shmvisor: the run two (pid $run): it is stopped" "$scratch/load.said" || fail "$(cat "$scratch/load.said")"
kill -CONT "$run"

heading "what is wrong is said of the right thing"
said 1 "^shmvisor: cannot write to standard output: No space left" sh -c '"$SHMVISOR" ls --name one >/dev/full'
said 125 "give one of ID..., --key KEY, -a/--all and --orphans" client rm --name one --all 1
! grep -q "there is no option" "$scratch/said" || fail "an option is blamed: $(cat "$scratch/said")"
said 125 "there is no option '--al'; did you mean '--all'" client rm --al

heading "a path, and the environment"
SHMVISOR_CONTROL=$scratch/own.socket "$SHMVISOR" run -- sleep 1000 &
own=$!
wait_until 20 answers --control "$scratch/own.socket" || fail "it is not found by its path"
SHMVISOR_CONTROL=$scratch/own.socket answers || fail "not by the environment either"
said 125 "is there and is no socket" client run --control /etc/passwd -- true
said 125 "no control socket at /nowhere/x: No such file" client run --control /nowhere/x -- true
said 125 "'7' is no name" client run --name 7 -- true

heading "one that was killed"
kill -KILL "$first"
wait "$first" 2>/dev/null
answers || fail "the one that lives is not found beside a socket that was left"
start_run one -- sleep 1000

heading "another user"
chmod 755 "$XDG_RUNTIME_DIR" "$XDG_RUNTIME_DIR/shmvisor"
chmod 666 "$XDG_RUNTIME_DIR/shmvisor/two.control"
copy_shmvisor_to_scratch
said 1 "^shmvisor: no run answers at .*: it serves root and its own user alone$" \
  as_user "$SHMVISOR" ls --control "$XDG_RUNTIME_DIR/shmvisor/two.control"
chmod 700 "$XDG_RUNTIME_DIR" "$XDG_RUNTIME_DIR/shmvisor"

heading "a folder that is not its user's alone"
mkdir -m 777 "$scratch/open" "$scratch/open/shmvisor"
chmod 777 "$scratch/open/shmvisor"
said 125 "no place for its sockets; give --control PATH" \
  env XDG_RUNTIME_DIR="$scratch/open" timeout 20 "$SHMVISOR" run --name x -- true
kill "$plain" "$own" "$run"
assert_kernel_table_empty
