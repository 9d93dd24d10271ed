#!/bin/bash
# kept.sh crun|runc SEGMENT: real containers of an agent with a keeper, whose servers are killed. SEGMENT is segment.c,
# linked statically.
. "$(dirname "$0")/bundles.sh" || exit 1
# Its control socket is not to be found by clients of other tests.
export XDG_RUNTIME_DIR=$scratch/control
mkdir -m 700 "$XDG_RUNTIME_DIR"
segment=$scratch/segment
cp "$2" "$segment" || fail cp
programs=("$segment")
deaths=0

server() {
  local child
  for child in $(cat "/proc/$agent/task/$agent/children"); do
    [ "$(cat "/proc/$child/comm" 2>/dev/null)" != shmvisor-server ] || echo "$child"
  done
}
has_another() { [ -n "$(server)" ] && [ "$(server)" != "$before" ]; }
# The server dies, and the next one is there a moment later.
kill_server() {
  wait_until 20 test -n "$(server)" || fail "there is no server"
  before=$(server)
  kill -KILL "$before" && deaths=$((deaths + 1))
}
next_server() { wait_until 20 has_another || fail "no next server: $(cat "$scratch/agent.log")"; }

start_agent_for_bundles --keeper --keeper-deaths 1000 --name kept-"$runtime"-$$

heading "a container, a process that joins it, and a group"
bundle one '' -- /bin/segment hold 5 'of one'
hold one
bundle two 'group=pair' -- /bin/segment hold 5 'of two'
hold two
bundle three 'group=pair' -- /bin/segment show 5
for round in 1 2 3 4 5; do
  kill_server
  expect "exec, round $round" "of one, mapped 2 times" "$(oci exec "$(id_of one)" /bin/segment show 5)"
  kill_server
  expect "another container of the group" "of two, mapped 2 times" "$(run three)"
  oci delete --force "$(id_of three)" 2>/dev/null
done

heading "containers with a user namespace, and with the machine's pid namespace"
bundle mapped '' --userns -- /bin/segment hold 5 'of mapped'
chown -R 100000:100000 "$scratch/mapped/rootfs"
chmod 711 "$scratch" "$scratch/mapped"
hold mapped
bundle hostpid '' --host-pid -- /bin/segment hold 5 'of hostpid'
hold hostpid
kill_server
next_server
for name in mapped hostpid one; do
  expect "$name" "of $name, mapped 2 times" "$(oci exec "$(id_of $name)" /bin/segment show 5)"
done
# Each is there by its name, with its processes.
"$SHMVISOR" ps --name kept-"$runtime"-$$ >"$scratch/ps" || fail "ps: $(cat "$scratch/ps")"
expect "who maps a segment" 4 "$(grep -cw segment "$scratch/ps")"

heading "they end, also while there is no server"
end_container hostpid
kill -STOP "$(server)"
oci kill "$(id_of mapped)" KILL
kill_server
next_server
wait_until 30 not_running mapped || fail "it does not end"
oci delete --force "$(id_of mapped)" 2>/dev/null
is_forgotten() { ! "$SHMVISOR" ls --name kept-"$runtime"-$$ --json | grep -q mapped; }
wait_until 30 is_forgotten || fail "it is not forgotten"
end_container one
end_container two
assert_nothing_left
stop_agent || fail "status $?"
expect "deaths in the log" "$deaths" "$(grep -c 'was ended by signal 9: another one goes on' "$scratch/agent.log")"
expect "other lines" "" "$(grep -v 'was ended by signal 9: another one goes on' "$scratch/agent.log")"
