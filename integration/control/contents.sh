#!/bin/bash
# dump writes the memory of a segment, load makes a segment of a file: whole, with its holes, within the limits. Files
# that are cut, full disks and readers that do not read keep nobody waiting but the client.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/lib.sh" || exit 1
need python3 python3

cat >"$scratch/command.py" <<'EOS'
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
folder = sys.argv[1]
def wait_for(name):
    while not os.path.exists(folder + "/" + name):
        time.sleep(0.02)
size = 256 * 4096 + 100
shmid = libc.shmget(0x77, ctypes.c_size_t(size), 0o1640)
address = libc.shmat(shmid, None, 0)
ctypes.memmove(address, b"begin", 5)
ctypes.memmove(address + 100 * 4096 + 50, b"middle", 6)
ctypes.memmove(address + size - 3, b"end", 3)
open(folder + "/ready", "w").close()
while not os.path.exists(folder + "/over"):
    if os.path.exists(folder + "/look"):
        loaded = libc.shmget(0x99, ctypes.c_size_t(0), 0)
        at = libc.shmat(loaded, None, 0)
        text = ctypes.string_at(at, size)
        assert text == ctypes.string_at(address, size), "other contents"
        libc.shmdt(ctypes.c_void_p(at))
        os.rename(folder + "/look", folder + "/seen")
    # A call that is served late shows that the run waits for somebody.
    began = time.time()
    assert libc.shmget(0x77, ctypes.c_size_t(0), 0) == shmid or os.path.exists(folder + "/removing")
    assert time.time() - began < 10, "a call waited"
    time.sleep(0.02)
EOS
start_run db -v --shmmax 8M -- python3 "$scratch/command.py" "$scratch"
wait_until 20 test -e "$scratch/ready" || fail "the command does not come so far: $(cat "$scratch/db.log")"
size=$((256 * 4096 + 100))
pages_of() { echo $(($(stat -c %b "$1") / 8)); }
resident() { client ls --json | python3 -c 'import json, sys
print([s["resident_pages"] for s in json.load(sys.stdin)["segments"] if s["key"] == sys.argv[1]][0])' "$1"; }

heading "dump"
client dump 0 >"$scratch/dumped" || fail "dump ends with $?"
expect "size" "$size" "$(stat -c %s "$scratch/dumped")"
python3 - "$scratch/dumped" "$size" <<'EOS' || fail "not what the segment has"
import sys
wanted = bytearray(int(sys.argv[2]))
wanted[:5] = b"begin"
wanted[100 * 4096 + 50:100 * 4096 + 56] = b"middle"
wanted[-3:] = b"end"
assert open(sys.argv[1], "rb").read() == wanted
EOS
[ "$(pages_of "$scratch/dumped")" -le 16 ] || fail "holes are not kept: $(pages_of "$scratch/dumped") pages"
client dump 0 | cmp - "$scratch/dumped" || fail "another through a pipe"
client dump 0 --output "$scratch/other" || fail "--output ends with $?"
cmp "$scratch/other" "$scratch/dumped" || fail "another with --output"
{ echo head; client dump 0; } >"$scratch/behind"
cmp <(tail -c "$size" "$scratch/behind") "$scratch/dumped" || fail "another behind other text"
expect "reading takes no pages" 3 "$(resident 0x00000077)"
expect "a reader is no attach" 1 "$(client ls --json | python3 -c 'import json, sys
print(json.load(sys.stdin)["segments"][0]["nattch"])')"
said 1 "has no segment 7$" client dump 7
said 1 "cannot write to standard output: No space left on device" sh -c '"$1" dump 0 >/dev/full' - "$SHMVISOR"
said 1 "cannot write to standard output" sh -c '"$1" dump 0 >&-' - "$SHMVISOR"
said 1 "cannot write to /dev/full: No space left on device" client dump 0 --output /dev/full
said 1 "cannot write $scratch/no/x" client dump 0 --output "$scratch/no/x"
said 125 "" client dump

heading "load"
expect "the new identifier" 1 "$("$SHMVISOR" load --key 0x99 --mode 604 <"$scratch/dumped")"
expect "holes are kept" 3 "$(resident 0x00000099)"
touch "$scratch/look"
wait_until 20 test -e "$scratch/seen" || fail "the command finds something else: $(cat "$scratch/db.log")"
grep -qE "^0x00000099 1 root 604 $size 0" <(client ls | squeezed) || fail "another segment: $(client ls)"
grep -q "a control client loads segment 1 of main" "$scratch/db.log" || fail "the log does not tell"
"$SHMVISOR" dump 1 </dev/null | cmp - "$scratch/dumped" || fail "it comes out otherwise"
expect "from a pipe, for another user" 2 "$("$SHMVISOR" load --uid 1234 --gid 5678 <"$scratch/dumped" 2>&1)"
expect "from a pipe" 3 "$(cat "$scratch/dumped" | "$SHMVISOR" load)"
client stat 2 | grep -qE "^uid=1234.gid=5678.cuid=1234.cgid=5678$" || fail "not that user's: $(client stat 2)"
"$SHMVISOR" dump 3 </dev/null | cmp - "$scratch/dumped" || fail "another from a pipe"
expect "with more room" 4 "$(echo text | "$SHMVISOR" load --size 16K)"
client stat 4 | grep -q "^bytes=16384" || fail "not that size: $(client stat 4)"
load_said() { said "$1" "$2" "$SHMVISOR" load "${@:3}"; }
load_said 1 "there is a segment with this key" --key 0x77 <"$scratch/dumped"
truncate -s 9M "$scratch/large"
load_said 1 "9437184 bytes are more than shmmax, 8388608" <"$scratch/large"
head -c 9M /dev/zero | load_said 1 "longer than a segment may be, 8388608 bytes"
head -c 9M /dev/zero | load_said 1 "longer than --size, 4096 bytes" --size 4K
load_said 1 "standard input is empty" </dev/null
load_said 1 "has $size bytes, and --size is 4096" --size 4K <"$scratch/dumped"
load_said 1 "has no registry 'x'" --registry x <"$scratch/dumped"
load_said 125 "is no mode" --mode 999 <"$scratch/dumped"
load_said 125 "is no key" --key 0 <"$scratch/dumped"
load_said 125 "uid: 'nobdy' is no user, and no number from 0 to 4294967294; did you mean 'nobody'" --uid nobdy <"$scratch/dumped"
load_said 125 "gid: '4294967295' is no group" --gid 4294967295 <"$scratch/dumped"
load_said 125 "uid: '-1' is no user" --uid -1 <"$scratch/dumped"
expect "nothing came of these" "0 1 2 3 4" "$(client ls -q | xargs)"

heading "clients that are slow"
mkfifo "$scratch/fifo"
python3 -c "import time; time.sleep(100)" <"$scratch/fifo" &
sleeper=$!
"$SHMVISOR" dump 1 >"$scratch/fifo" </dev/null 2>"$scratch/late" &
dump=$!
wait_until 20 sh -c 'grep -q pipe_w /proc/$1/wchan || [ "$(cut -d" " -f3 /proc/$1/stat)" = S ]' - "$dump" || fail "dump does not wait"
expect "a dump keeps no segment" 1 "$(client rm 1)"
expect "which is gone" "0 2 3 4" "$(client ls -q | xargs)"
kill "$sleeper"
wait "$dump"
status=$?
[ "$status" = 141 ] || [ "$status" = 1 ] || fail "dump without a reader ends with $status"
"$SHMVISOR" load <"$scratch/fifo" >"$scratch/late" 2>&1 &
load=$!
exec 8>"$scratch/fifo"
head -c 100000 "$scratch/dumped" >&8
sleep 0.3
expect "half a load is no segment" "0 2 3 4" "$(client ls -q | xargs)"
kill -9 "$load"
exec 8>&-
wait "$load" 2>/dev/null
expect "nor is what a killed one leaves" "0 2 3 4" "$(client ls -q | xargs)"
heading "names of users and groups, as chown takes them"
owners() { client stat "$1" | sed -nE 's/^uid=([0-9]+).gid=([0-9]+).cuid=([0-9]+).cgid=([0-9]+)$/\1 \2 \3 \4/p'; }
named=$(echo text | "$SHMVISOR" load --uid nobody --gid daemon)
expect "those of the names" "65534 1 65534 1" "$(owners "$named")"
numbered=$(echo text | "$SHMVISOR" load --uid +65534 --gid 1)
expect "those of the numbers" "65534 1 65534 1" "$(owners "$numbered")"

touch "$scratch/over"
wait "$run"
expect "the command's exit status" 0 $?
assert_kernel_table_empty
