#!/bin/bash
# ls, stat, limits, ps and maps show what ipcs and /proc show inside, in the same words.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/lib.sh" || exit 1
need python3 python3
need ipcs util-linux

cat >"$scratch/holder.py" <<'EOS'
import ctypes, os, subprocess, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
first = libc.shmget(0x77, ctypes.c_size_t(8192), 0o1640)
doomed = libc.shmget(0, ctypes.c_size_t(100), 0o1600)
addresses = [libc.shmat(first, None, 0), libc.shmat(first, None, 0o10000), libc.shmat(doomed, None, 0)]
libc.shmctl(doomed, 0, None)
with open(sys.argv[1] + "/native", "w") as out:
    for options in (["-m"], ["-m", "-l"], ["-m", "-i", str(first)]):
        out.write(subprocess.run(["ipcs"] + options, capture_output=True, text=True).stdout + "\n====\n")
inner = subprocess.Popen(["unshare", "--ipc", "sh", "-c", "ipcmk -M 4096 -p 0644 && exec sleep 1000"])
print(os.getpid(), first, " ".join("%x" % address for address in addresses), flush=True)
open(sys.argv[1] + "/ready", "w").close()
time.sleep(1000)
EOS
start_run web --no-linger --shmmni 9 -- python3 "$scratch/holder.py" "$scratch"
wait_until 20 test -e "$scratch/ready" || fail "the command does not come so far"
has_inner() { [ "$(client ls -q | wc -l)" = 3 ]; }
wait_until 20 has_inner || fail "the inner IPC namespace is not shown: $(client ls)"
holder=$(awk '/ [0-9]+ [0-9a-f]+ [0-9a-f]+ [0-9a-f]+$/ || NF == 5 { print $1 }' "$scratch/web.out")
shmid=$(awk 'NF == 5 { print $2 }' "$scratch/web.out")

heading "ls, limits and stat beside ipcs"
part() { awk -v wanted="$1" '/^====$/ { at++; next } at == wanted' "$scratch/native" | squeezed; }
if grep -q . <(part 0); then
  expect "ls" "$(part 0)" "$(client ls --registry main | squeezed)"
  expect "limits" "$(part 1)" "$(client limits --registry main | sed '/Status/,$d' | squeezed)"
  expect "stat" "$(part 2)" "$(client stat "$shmid" --registry main | squeezed)"
fi
expect "-q" "$(printf '0\n1')" "$(client ls -q --registry main)"
grep -q "Segments of ipc:\[[0-9]*\] ------" <(client ls) || fail "the inner registry has no name"
grep -qE "^max number of segments = 9$" <(client limits --registry main) || fail "not the run's limit"

heading "json"
python3 - "$holder" "$shmid" <<EOS || fail "what is printed as JSON is not what is so"
import json, subprocess, sys
holder, shmid = map(int, sys.argv[1:])
def shown(*words):
    return json.loads(subprocess.run(["$SHMVISOR", *words, "--json"], capture_output=True, check=True).stdout)
segments = {(one["registry"], one["shmid"]): one for one in shown("ls")["segments"]}
first, doomed = segments["main", shmid], segments["main", shmid + 1]
assert (first["key"], first["mode"], first["segsz"], first["nattch"]) == ("0x00000077", "0640", 8192, 2), first
assert (first["cpid"], first["lpid"], first["dest"]) == (holder, holder, False), first
assert doomed["dest"] and doomed["nattch"] == 1 and doomed["key"] == "0x00000000", doomed
assert len(segments) == 3 and any(name.startswith("ipc:[") for name, _ in segments), segments
registries = {one["name"]: one for one in shown("limits")["registries"]}
assert registries["main"]["limits"]["shmmni"] == 9 and registries["main"]["used"]["pages"] == 3, registries
processes = {one["pid"]: one for one in shown("ps")["processes"]}
held = {one["shmid"]: one for one in processes[holder]["segments"]}
assert held[shmid]["attaches"] == 2 and held[shmid]["bytes"] == 16384, held
assert processes[holder]["certain"] and processes[holder]["command"] == "python3", processes[holder]
EOS

heading "maps, as /proc has them"
read -r _ _ writable readonly _ <"$scratch/web.out"
client maps "$shmid" >"$scratch/maps"
grep -qE "^$holder +python3 +$writable-[0-9a-f]+ +rw-s +0 +$shmid +0x00000077 +main$" "$scratch/maps" ||
  fail "the writable mapping is not shown: $(cat "$scratch/maps")"
grep -qE "^$holder +python3 +$readonly-[0-9a-f]+ +r--s " "$scratch/maps" || fail "the read-only one is not"
expect "all of the process" 3 "$(client maps "$holder" | grep -c "^$holder ")"
grep -qE "^$holder +root +3 +20480 +$shmid,$((shmid + 1)) +python3$" <(client ps) ||
  fail "ps does not show what is held: $(client ps)"
grep -qx "$holder" <(client ps -q) || fail "ps -q does not show the process"

heading "what there is not"
said 1 "has no segment 4711$" client stat 4711
said 1 "has no registry 'mian'; there is: main, ipc:" client ls --registry mian
said 125 "there is no option '--regstry'; did you mean '--registry'\?" client ls --regstry main
said 125 "there is no subcommand 'rum'; did you mean 'run'\?" client rum -- true
said 125 "there is no option '--shmax'; did you mean '--shmmax'\?" client run --shmax 5 -- true

kill "$run"
wait "$run"
assert_silent "$scratch/web.log"
said 1 "no run of this user has a control socket" client ls
expect "sockets that are left" "" "$(ls "$XDG_RUNTIME_DIR/shmvisor")"
assert_kernel_table_empty
