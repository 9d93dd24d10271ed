#!/bin/bash
# open_groups.sh FAKE_RUNTIME SEGMENT: commands of the host and containers share a group's segments, in both directions,
# by name and by path; the rights are those of a group. Others see nothing of it.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
. "$(dirname "$0")/lib.sh" || exit 1
make_scratch
fake_runtime=$1
segment=$2
holders=()
export XDG_RUNTIME_DIR=$scratch/runtime
mkdir -m 700 "$XDG_RUNTIME_DIR"

contained() {
  timeout --kill-after=10 60 "$fake_runtime" "$socket" "$1" "$2" -- "${@:3}" "$segment" show "$key"
}
# on_host PLACE COMMAND...
on_host() { timeout --kill-after=10 60 "$SHMVISOR" run --join "$1" -- "${@:2}" 2>>"$scratch/joins.log"; }
# held NAME COMMAND...: in the background, until it says so.
held() {
  "${@:2}" >"$scratch/$1.out" 2>>"$scratch/joins.log" &
  holders+=($!)
  wait_until 30 grep -qx held "$scratch/$1.out" || fail "$1: $(cat "$scratch/$1.out" "$scratch/joins.log" "$scratch/agent.log")"
}
end_holders() {
  kill -TERM "${holders[@]}"
  wait "${holders[@]}" 2>/dev/null
  holders=()
}

start_agent --name agent --serve-group web --serve-group "x11=$scratch/x11.shm"
[ -S "$XDG_RUNTIME_DIR/shmvisor/web.join" ] || fail "no socket of that name: $(ls "$XDG_RUNTIME_DIR/shmvisor")"

heading "a segment of the host's, for containers"
key=5
held server "$SHMVISOR" run --join name:web -- "$segment" hold 5 'of the host'
expect "a container of the group" "of the host, mapped 2 times" "$(contained one group=web)"
expect "one in an IPC namespace of its own" "of the host, mapped 2 times" \
  "$(timeout 60 unshare --ipc "$fake_runtime" "$socket" two group=web -- "$segment" show 5)"
expect "another command of the host" "of the host, mapped 2 times" "$(on_host name:web "$segment" show 5)"
expect "a command in another IPC namespace" "of the host, mapped 2 times" \
  "$(timeout 60 unshare --ipc "$SHMVISOR" run --join name:web -- "$segment" show 5)"
expect "a container of another group" "shmget: ENOENT" "$(contained three group=x11)"
expect "a container without one" "shmget: ENOENT" "$(contained four '')"
expect "a command of another group" "shmget: ENOENT" "$(on_host "$scratch/x11.shm" "$segment" show 5)"
expect "what the operator sees" "group:web" "$("$SHMVISOR" ls --name agent --json | python3 -c 'import json, sys
print(json.load(sys.stdin)["segments"][0]["registry"])')"

heading "a container's segment, for the host"
key=6
held holder "$fake_runtime" "$socket" five group=web -- "$segment" hold 6 'of a container'
expect "a command of the host" "of a container, mapped 2 times" "$(on_host name:web "$segment" show 6)"
expect "its limits are the agent's" "shmmax 18446744073692774399 shmmni 4096" "$(on_host name:web "$segment" limits)"

heading "whose root is whose"
# Root of a user namespace is no root over what others made.
cat >"$scratch/remove.py" <<'EOS'
import ctypes, errno, sys
libc = ctypes.CDLL(None, use_errno=True)
shmid = libc.shmget(int(sys.argv[1]), ctypes.c_size_t(0), 0)
print("removed" if libc.shmctl(shmid, 0, None) == 0 else errno.errorcode[ctypes.get_errno()])
EOS
install -m 755 "$segment" "$scratch/segment"
user='setpriv --reuid 1000 --regid 1000 --clear-groups'
# shellcheck disable=SC2086
held a_user "$SHMVISOR" run --join name:web -- $user "$scratch/segment" hold 8 'of a user'
# shellcheck disable=SC2086
held its_user "$fake_runtime" "$socket" six group=web -- $user "$scratch/segment" hold 9 'of a user'
expect "root of a container's user namespace" EPERM \
  "$(timeout 60 unshare --user --map-root-user "$fake_runtime" "$socket" seven group=web -- python3 "$scratch/remove.py" 8)"
expect "root of a command's user namespace" EPERM \
  "$(timeout 60 unshare --user --map-root-user "$SHMVISOR" run --join name:web -- python3 "$scratch/remove.py" 9)"
expect "root of the host" removed "$(on_host name:web python3 "$scratch/remove.py" 9)"

heading "who may not join"
copy_shmvisor_to_scratch
as_user timeout 60 "$SHMVISOR" run --join "$scratch/x11.shm" -- true 2>"$scratch/log"
expect "a user who may not write to the socket" 125 $?
"$SHMVISOR" run --join name:none -- true 2>"$scratch/log"
expect "a name that nobody has" 125 $?
"$SHMVISOR" run --join 'name:a/b' -- true 2>"$scratch/log"
expect "what is no name" 125 $?
"$SHMVISOR" agent --socket "$scratch/x" --serve-group '4' 2>"$scratch/log"
expect "a group that is no name" 125 $?

heading "the agent ends"
stop_agent || fail "status $?"
grep -qE "warning: [1-9] joined commands? of this host loses? service too" "$scratch/agent.log" ||
  fail "nobody says so: $(cat "$scratch/agent.log")"
end_holders
assert_kernel_table_empty
