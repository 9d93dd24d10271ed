#!/bin/bash
# save writes the segments of a run with their contents, run --restore begins with them: each field of struct shmid_ds,
# the limits, the holes, and the next identifier. Files that are cut, altered or do not fit here are refused; a disk that
# is full leaves the old file; programs that go on while they are saved do not wait.
#   saved.sh I386_PROGRAM, or "" where none can be built
. "$(dirname "$0")/../lib.sh" || exit 1
i386_program=${1:-}
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/lib.sh" || exit 1
need python3 python3
export PYTHONDONTWRITEBYTECODE=1  # the folder is that of the sources
folder=$(dirname "$(readlink -f "$0")")/saved

# restored OPTION... NAME: runs a program of the folder saved.
restored() { timeout --kill-after=10 60 "$SHMVISOR" run "${@:1:$#-1}" -- python3 "$folder/${!#}.py" "$scratch" </dev/null; }

heading "save"
start_run db -v --shmmax 8G --shmall 4M --shmmni 50 -- python3 "$folder/fill.py" "$scratch"
wait_until 30 test -e "$scratch/ready" || fail "the command does not come so far: $(cat "$scratch/db.log")"
client save --name db --json "$scratch/saved" >"$scratch/said.out" 2>"$scratch/said" || fail "save ends with $?: $(cat "$scratch/said")"
grep -q "not saved: 1 removed segment that is still attached" "$scratch/said" || fail "nothing of the removed one: $(cat "$scratch/said")"
segments=3
[ "$(cat "$scratch/ready")" = -1 ] || segments=4
grep -q "\"segments\": $segments," "$scratch/said.out" || fail "another number of segments: $(cat "$scratch/said.out")"
expect "mode" 600 "$(stat -c %a "$scratch/saved")"
[ "$(stat -c %s "$scratch/saved")" -lt 100000 ] || fail "holes and zeros are written: $(stat -c %s "$scratch/saved") bytes"
expect "a reader is no attach" 0 "$(client ls --json | python3 -c 'import json, sys
print(sum(s["nattch"] for s in json.load(sys.stdin)["segments"] if not s["dest"]))')"

heading "what cannot be written"
small() { (ulimit -f 4 && client save --name db "$scratch/small"); }
said 1 "^shmvisor: cannot write $scratch/small: File too large$" small
expect "what it leaves" "" "$(find "$scratch" -name 'small*')"
ln -s there "$scratch/link"
client save --name db "$scratch/link" 2>/dev/null || fail "save to a link that leads nowhere yet: $?"
[ -L "$scratch/link" ] && [ -f "$scratch/there" ] || fail "the link is replaced"

heading "fsck"
client fsck "$scratch/saved" >"$scratch/fsck" || fail "fsck ends with $?"
grep -q '^whole$' "$scratch/fsck" || fail "not whole: $(cat "$scratch/fsck")"
grep -qxE "0x00000077 0 root 640 1048676 0" <(squeezed <"$scratch/fsck") || fail "no first segment: $(cat "$scratch/fsck")"
grep -q "^$segments segments, 4 pages of contents" "$scratch/fsck" || fail "other contents: $(cat "$scratch/fsck")"
client fsck --json "$scratch/saved" | python3 -c 'import json, sys
file = json.load(sys.stdin)
assert file["whole"] and file["limits"]["shmmni"] == 50 and file["dest"] == 1, file
locked = [s for s in file["segments"] if s["locked"]]
assert len(locked) == 1 and locked[0]["uid"] == 1000 and locked[0]["mode"] == "0604", locked' || fail "fsck --json"

heading "restore"
cp "$scratch/saved" "$scratch/copy"
restored --restore "$scratch/saved" look >"$scratch/identifiers" 2>"$scratch/log" || fail "restored: status $?: $(cat "$scratch/log")"
assert_silent "$scratch/log"
cmp "$scratch/saved" "$scratch/copy" || fail "the file was changed"
diff "$scratch/table" "$scratch/table2" >"$scratch/diff" || fail "another table: $(cat "$scratch/diff")"
limits() { "$SHMVISOR" run --restore "$scratch/saved" "$@" -- cat /proc/sys/kernel/shmmax /proc/sys/kernel/shmall /proc/sys/kernel/shmmni | xargs; }
expect "the file's limits" "8589934592 4194304 50" "$(limits)"
expect "but for what options say" "8589934592 4194304 60" "$(limits --shmmni 60)"
expect "from the environment" "8589934592 5000000 50" "$(SHMVISOR_SHMALL=5000000 limits)"
touch "$scratch/go-on"
wait_until 20 test -e "$scratch/went-on" || fail "the first command does not go on"
expect "the next identifiers, as in the first run" "$(cat "$scratch/went-on")" "$(cat "$scratch/identifiers")"

heading "the next identifier is the one that it would have been"
restored --save-at-end "$scratch/at_end" next >"$scratch/one" 2>"$scratch/log" || fail "--save-at-end: status $?: $(cat "$scratch/log")"
assert_silent "$scratch/log"
restored --restore "$scratch/at_end" more >>"$scratch/one" || fail "--restore of that"
restored --shmmni 4096 both >"$scratch/both" || fail "one run of both"
cmp "$scratch/one" "$scratch/both" || fail "other identifiers: $(diff "$scratch/one" "$scratch/both")"
[ -s "$scratch/one" ] || fail "nothing to compare"

heading "kernel.shm_rmid_forced, and what it leaves"
forced() { restored --restore "$scratch/forced" "$@" 2>&1; }
start_run forced --cleanup rmid-forced -- python3 "$folder/attached.py" "$scratch"
wait_until 20 test -e "$scratch/attached" || fail "the command does not come so far"
client save --name forced "$scratch/forced" || fail "save ends with $?"
touch "$scratch/saved-attached"
wait "$run" || fail "the attached one: status $?"
expect "what is restored is not taken for an orphan" "1 found" "$(forced find)"
expect "--cleanup wins" "0 found" "$(forced --cleanup keep find)"
expect "nor is it by --cleanup=orphaned" "0 found" "$(forced --cleanup orphaned find-late)"

heading "callers for i386"
if [ -n "$i386_program" ]; then
  "$SHMVISOR" run -- "$i386_program" >"$scratch/i386" 2>&1 </dev/null || fail "i386: status $?: $(cat "$scratch/i386")"
  "$SHMVISOR" run --save-at-end "$scratch/empty" -- true || fail "nothing to save: $?"
  "$SHMVISOR" run --restore "$scratch/empty" --save-at-end "$scratch/i386.saved" -- "$i386_program" >"$scratch/i386.restored" 2>&1 </dev/null ||
    fail "i386, restored: status $?: $(cat "$scratch/i386.restored")"
  cmp "$scratch/i386" "$scratch/i386.restored" || fail "other answers: $(diff "$scratch/i386" "$scratch/i386.restored")"
  client fsck "$scratch/i386.saved" >/dev/null || fail "i386: not whole"
else
  echo "not tried: no programs for i386 here"
fi

heading "rm --orphans"
"$SHMVISOR" run --save-at-end "$scratch/mine" -- ipcmk -M 4096 >/dev/null || fail "--save-at-end: $?"
cat >"$scratch/attach.py" <<'EOS'
import ctypes, os, sys, time
while not os.path.exists(sys.argv[1] + "/attach"):
    time.sleep(0.05)
if os.fork() == 0:  # a user that ends
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    assert libc.shmat(0, None, 0) != ctypes.c_void_p(-1).value
    os._exit(0)
assert os.wait()[1] == 0
open(sys.argv[1] + "/attached-one", "w").close()
time.sleep(1000)
EOS
start_run again --restore "$scratch/mine" -- python3 "$scratch/attach.py" "$scratch"
expect "what is restored waits for its first user" "" "$(client rm --orphans --name again)"
expect "what there is" 0 "$(client ls --name again -q)"
touch "$scratch/attach"
wait_until 20 test -e "$scratch/attached-one" || fail "the command does not attach"
expect "after its first user" 0 "$(client rm --orphans --name again)"
kill "$run"
wait "$run"

heading "what is refused"
refused() {
  rm -f "$scratch/ran"
  said 125 "$1" timeout --kill-after=10 60 "$SHMVISOR" run "${@:2}" -- touch "$scratch/ran"
  [ "$(grep -c . "$scratch/said")" = 1 ] || fail "more than a sentence: $(cat "$scratch/said")"
  [ ! -e "$scratch/ran" ] || fail "the command ran"
}
bytes=$(stat -c %s "$scratch/saved")
for length in 0 3 24 100 $((bytes / 2)) $((bytes - 1)); do
  head -c "$length" "$scratch/saved" >"$scratch/cut"
  refused "cut (is cut|is no saved registry)" --restore "$scratch/cut"
  said 1 "cut (is cut|is no saved registry)" client fsck "$scratch/cut"
done
for at in 0 5 30 100 200 300 $((bytes / 2)) $((bytes - 2)); do
  python3 -c 'import sys
data = bytearray(open(sys.argv[1], "rb").read())
data[int(sys.argv[3])] ^= 4
open(sys.argv[2], "wb").write(data)' "$scratch/saved" "$scratch/altered" "$at"
  refused "altered is (altered at byte|no saved registry)" --restore "$scratch/altered"
  said 1 "altered is (altered at byte|no saved registry)" client fsck "$scratch/altered"
done
client fsck --json "$scratch/altered" 2>/dev/null | python3 -c 'import json, sys
file = json.load(sys.stdin)
assert not file["whole"] and "altered" in file["trouble"] and file["segments"], file' || fail "fsck --json of an altered file"
refused "none cannot be read: No such file" --restore "$scratch/none"
refused "is no regular file" --restore "$scratch"
mkfifo "$scratch/fifo"
refused "fifo is no regular file" --restore "$scratch/fifo"
refused "segment [0-9]+, which is refused: 4294967296 bytes are more than shmmax, 1073741824" --restore "$scratch/saved" --shmmax 1G
refused "which is refused: .*shmall" --restore "$scratch/saved" --shmall 1000
refused "which is refused: .*shmmni" --restore "$scratch/saved" --shmmni 2
refused "restore.*join|join.*restore" --restore "$scratch/saved" --join "$scratch/socket"
refused "no file can be made for" --save-at-end "$scratch/no/x"
refused "is no regular file" --save-at-end /dev/null
if unshare --user --map-root-user true 2>/dev/null; then
  said 125 "segment [0-9]+, which is of user 1000, who is not in this user namespace" \
    unshare --user --map-root-user "$SHMVISOR" run --proc=off --restore "$scratch/saved" -- true
fi

heading "an ordinary user"
program=$SHMVISOR
copy_shmvisor_to_scratch
mkdir -m 777 "$scratch/theirs"
mkdir "$scratch/programs"
install -m 644 "$folder"/*.py "$scratch/programs"
theirs() { as_user "$SHMVISOR" run "$@" -- python3 "$scratch/programs/theirs.py" "$scratch" 2>&1 </dev/null; }
expect "the user's first" "b'' 1000 1" "$(theirs --save-at-end "$scratch/theirs/saved")"
expect "the user's again" "b'mine' 1000 1" "$(theirs --restore "$scratch/theirs/saved")"
if as_user "$SHMVISOR" run --userns -- true 2>/dev/null; then
  expect "in a user namespace" "b'mine' 1000 1" "$(theirs --userns --log-level error --restore "$scratch/theirs/saved")"
  chmod 644 "$scratch/saved"
  said 125 "which is of user 0, who is not in this user namespace" \
    as_user "$SHMVISOR" run --userns --restore "$scratch/saved" -- true
fi
SHMVISOR=$program
chmod 711 "$XDG_RUNTIME_DIR" "$XDG_RUNTIME_DIR/shmvisor"
said 1 "Permission denied|refuses|not reach|may not" as_user "$scratch/shmvisor" save --control "$XDG_RUNTIME_DIR/shmvisor/db.control" "$scratch/theirs/x"
chmod 700 "$XDG_RUNTIME_DIR" "$XDG_RUNTIME_DIR/shmvisor"
[ ! -e "$scratch/theirs/x" ] || fail "another user saved it"

heading "the old file stays"
echo old >"$scratch/old"
said 1 "cannot write /dev/null: it is no regular file" client save --name db /dev/null
said 1 "cannot write $scratch/no/x: No such file" client save --name db "$scratch/no/x"
said 1 "has no registry 'x'" client save --name db --registry x "$scratch/old"
expect "the old file" old "$(cat "$scratch/old")"
mkdir "$scratch/disk"
if mount -t tmpfs -o size=64k tmpfs "$scratch/disk" 2>/dev/null; then
  echo old >"$scratch/disk/file"
  head -c 52K /dev/zero >"$scratch/disk/other"
  said 1 "cannot write $scratch/disk/file: No space left on device" client save --name db "$scratch/disk/file"
  said 125 "cannot write .*No space left" restored --save-at-end "$scratch/disk/file" megabyte
  expect "the old file" old "$(cat "$scratch/disk/file")"
  expect "and nothing else" "file other" "$(cd "$scratch/disk" && echo *)"
  umount "$scratch/disk"
fi
"$SHMVISOR" run --save-at-end "$scratch/old" -- sh -c 'exit 3'
expect "the command's own exit status" 3 $?
client fsck "$scratch/old" >/dev/null || fail "not saved where the command ends with 3"
echo old >"$scratch/old"
said 127 "" "$SHMVISOR" run --save-at-end "$scratch/old" -- "$scratch/no-command"
said 125 "none cannot be read" "$SHMVISOR" run --restore "$scratch/none" --save-at-end "$scratch/old" -- true
expect "nothing is saved where the command does not run" old "$(cat "$scratch/old")"

heading "segments that come and go meanwhile"
start_run busy -- python3 "$folder/busy.py" "$scratch"
busy=$run
wait_until 20 test -e "$scratch/busy" || fail "the command does not come so far"
for round in 1 2 3 4 5; do
  client save --name busy "$scratch/busy.saved" 2>"$scratch/said" || fail "save ends with $?: $(cat "$scratch/said")"
  client fsck --json "$scratch/busy.saved" | python3 -c 'import json, sys
segments = json.load(sys.stdin)["segments"]
assert [s["contents_pages"] for s in segments if s["key"] == "0x00000042"] == [1024], segments' || fail "round $round"
done

heading "10000 segments"
restored --shmmni 20000 --save-at-end "$scratch/many" many 2>"$scratch/log" || fail "10000 segments: status $?: $(cat "$scratch/log")"
expect "10000 segments" "10000 b'9000'" "$(restored --restore "$scratch/many" count 2>&1)"

touch "$scratch/over"
wait "$busy" || fail "the busy command: status $?: $(cat "$scratch/busy.log")"
assert_kernel_table_empty
