#!/bin/bash
# containers.sh FAKE_RUNTIME SEGMENT: the agent's control socket shows each container by its id, and each
# group by its name.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/../agent/lib.sh" || exit 1
. "$(dirname "$0")/lib.sh" || exit 1
fake_runtime=$1
segment=$2

hold() {
  "$fake_runtime" "$socket" "$1" "$2" -- "$segment" hold "$4" "$3" >"$scratch/$1.out" &
  wait_until 30 grep -qx held "$scratch/$1.out" || fail "container $1: $(cat "$scratch/$1.out")"
}
scrape() {
  python3 -c 'import socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
sys.stdout.buffer.write(b"".join(iter(lambda: client.recv(65536), b"")))' "$scratch/metrics"
}
names() { sed -nE 's/^-+ Shared Memory Segments of (.*) -+$/\1/p'; }

start_agent --name node
heading "an agent without containers"
none="shmvisor: the agent node (pid $agent) serves no container, and so has no registry"
expect "ls" "------ Shared Memory Segments --------
key shmid owner perms bytes nattch status
$none" "$(client ls 2>&1 | squeezed)"
expect "ls -q, status" "0" "$(client ls -q 2>&1; echo $?)"
expect "limits" "$none" "$(client limits 2>&1)"
expect "report" "$none" "$(client report 2>&1)"
expect "ps" "pid owner attaches bytes shmids registry command
$none" "$(client ps 2>&1 | squeezed)"
expect "maps" "pid command range rights offset shmid key registry
$none" "$(client maps 2>&1 | squeezed)"
expect "as JSON" "{'segments': []} {'registries': []} {'processes': []} {'registries': [], 'registries_left_out': 0}" "$(
  for what in ls limits ps report; do client "$what" --json 2>&1 | python3 -c 'import json, sys; print(json.load(sys.stdin), end=" ")'; done | sed 's/ $//')"
hold one 'shmmni=5' 'of one' 5
hold first 'group=g' 'of the group' 5
hold second 'group=g' 'of the group' 6
expect "registries" "$(printf 'group:g\none')" "$(client ls --name node | names | sort)"
rm -f "$scratch/url"
timeout 60 "$SHMVISOR" serve-metrics --listen "$scratch/metrics" >"$scratch/url" &
exporter=$!
wait_until 20 grep -q . "$scratch/url" || fail "serve-metrics does not listen"
scrape >"$scratch/scraped"
for line in 'shmvisor_segments{run="node",registry="one"} 1' 'shmvisor_limit_segments{run="node",registry="one"} 5' \
  'shmvisor_attaches{run="node",registry="group:g"} 2' \
  'shmvisor_calls_total{run="node",registry="one",call="shmat"} 1'; do
  grep -qxF "$line" "$scratch/scraped" || fail "the metrics have no line '$line': $(cat "$scratch/scraped")"
done
kill "$exporter"
expect "segments of the container" 1 "$(client ls -q --registry one | wc -l)"
grep -q '^max number of segments = 5$' <(client limits --registry one) || fail "not the container's limit"
mapped=$(client maps --registry group:g | grep -c ' group:g$')
expect "processes that map the group's segments" 2 "$mapped"
[ "$(client ps -q | wc -l)" -ge 3 ] || fail "not all processes are shown: $(client ps)"
grep -qE '^max number of segments = 5$' <(client limits --registry one)

heading "a container by the first digits of its id"
hold feed01234567 'shmmni=7' 'of feed' 5
expect "segments" 1 "$(client ls -q --registry feed01 | wc -l)"
expect "whose they are" feed01234567 "$(client ls --registry feed01 | names)"
expect "whose the limits are" 2 "$(client limits --registry feed01 | grep -c -- '- Shared Memory [A-Za-z]* of feed01234567 -')"
said 1 "has no registry 'fee'; there is: " client ls --registry fee
hold feed99999999 'shmmni=7' 'of the other feed' 5
said 1 "has more than one registry 'feed...'; there is: .*feed01234567" client ls --registry feed
expect "its processes" 1 "$(client ps | grep -cE '^[0-9]+ +root +[0-9]+ +[0-9]+ +[0-9]+ +feed01234567 +agent_segment$')"

heading "two containers of one id"
unshare --ipc "$fake_runtime" "$socket" feed01234567 'shmmni=3' -- "$segment" hold 5 'of another' >"$scratch/twin.out" &
wait_until 30 grep -qx held "$scratch/twin.out" || fail "its twin: $(cat "$scratch/twin.out")"
expect "their names" "feed01234567 feed01234567#2" "$(client ls | names | grep feed0 | sort | xargs)"
expect "limits of the first" 7 "$(client limits --registry feed01234567 | sed -n 's/^max number of segments = //p')"
expect "limits of its twin" 3 "$(client limits --registry 'feed01234567#2' | sed -n 's/^max number of segments = //p')"
said 1 "has more than one registry 'feed012...'; there is: " client ls --registry feed012
expect "whose processes they are" "1 1" \
  "$(for name in feed01234567 'feed01234567#2'; do client ps | grep -cE " \"?$name\"? +agent_segment$"; done | xargs)"
expect "what is removed of the twin" 0 "$(client rm --all --registry 'feed01234567#2')"
client ls --json >"$scratch/listed"
expect "segments of it that are marked, and of the first" "1 0" "$(for name in 'feed01234567#2' feed01234567; do
  python3 -c 'import json, sys
print(sum(one["dest"] for one in json.load(open(sys.argv[1]))["segments"] if one["registry"] == sys.argv[2]))' \
    "$scratch/listed" "$name"
done | xargs)"
rm -f "$scratch/url"
timeout 60 "$SHMVISOR" serve-metrics --listen "$scratch/metrics" >"$scratch/url" &
exporter=$!
wait_until 20 grep -q . "$scratch/url" || fail "serve-metrics does not listen"
scrape >"$scratch/scraped"
kill "$exporter"
for line in 'shmvisor_limit_segments{run="node",registry="feed01234567"} 7' \
  'shmvisor_limit_segments{run="node",registry="feed01234567#2"} 3'; do
  grep -qxF "$line" "$scratch/scraped" || fail "the metrics have no line '$line': $(cat "$scratch/scraped")"
done
stop_agent
expect "sockets that are left" "" "$(ls "$XDG_RUNTIME_DIR/shmvisor")"
assert_kernel_table_empty
