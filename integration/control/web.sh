#!/bin/bash
# web: what the page gets is what is so, for browsers alone that asked this machine by its own name; the run
# is asked nothing while nobody looks; clients that do what they like keep nobody out. In a browser too, where
# there is one.
. "$(dirname "$0")/../lib.sh" || exit 1
here=$(cd "$(dirname "$0")" && pwd)
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/lib.sh" || exit 1
need python3 python3
page() { timeout --kill-after=10 150 python3 "$here/web.py" "$@"; }

cat >"$scratch/calls.py" <<'EOS'
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.prctl(15, b"<img src=x>\xff&")
first = libc.shmget(0x77, ctypes.c_size_t(8192), 0o1640)
doomed = libc.shmget(0, ctypes.c_size_t(5000), 0o1600)
for shmid in (first, first, doomed):
    libc.shmat(shmid, None, 0)
libc.shmctl(doomed, 0, None)
if os.fork() == 0:
    libc.prctl(15, b"</script><b>")
    time.sleep(1000)
open(sys.argv[1] + "/ready", "w").close()
slowest = 0
while not os.path.exists(sys.argv[1] + "/over"):
    time.sleep(0.02)
    before = time.monotonic()
    libc.shmget(0x78, ctypes.c_size_t(1 << 21), 0o1600)
    if not os.path.exists(sys.argv[1] + "/stopped"):
        slowest = max(slowest, time.monotonic() - before)
print(f"the slowest of its calls took {slowest * 1000:.1f} ms")
os._exit(slowest > 5)
EOS
# start_page [OPTION...]: $page_server, and $url.
start_page() {
  # What the last one said must not be taken for the next one's: the new one truncates the file only later.
  rm -f "$scratch/url"
  "$SHMVISOR" web "$@" >"$scratch/url" 2>"$scratch/page.log" &
  page_server=$!
  wait_until 20 grep -q 'is shown at' "$scratch/url" || fail "it does not listen: $(cat "$scratch/page.log")"
  url=$(sed -n 's/^the run .* is shown at //p' "$scratch/url")
}

start_run web --no-linger --shmmax 1M --shmmni 7 -- python3 "$scratch/calls.py" "$scratch"
wait_until 30 test -e "$scratch/ready" || fail "the command does not come so far"
start_page --name web --listen 127.0.0.1:0

heading "state, events, fields"
page state "$url" || fail "see above"
page events "$url" || fail "see above"
page fields "$url" || fail "see above"

heading "while nobody looks"
# A connection follows calls, and is ended with its follower.
followers() { find "/proc/$run/fd" -lname 'socket:*' | wc -l; }
page watch "$url" "$scratch/looks" &
watcher=$!
wait_until 20 test -e "$scratch/looks" || fail "nobody looks"
while_looking=$(followers)
touch "$scratch/looks.seen"
wait "$watcher" || fail "see above"
fewer() { [ "$(followers)" -lt "$while_looking" ]; }
wait_until 20 fewer || fail "it follows calls for nobody"

heading "clients"
page hostile "$url" || fail "see above"
touch "$scratch/stopped"
kill -STOP "$run"
page stopped "$url" || fail "see above"
kill -CONT "$run"
wait_until 30 answers --name web || fail "it does not go on"
rm "$scratch/stopped"

heading "a browser"
if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then
  page browser "$url" "$scratch" || fail "see above"
  [ -z "${SHMVISOR_PICTURE:-}" ] || cp "$scratch/page.png" "$SHMVISOR_PICTURE"
else
  echo "not tried: chromium and chromedriver are missing (Debian packages chromium, chromium-driver)"
fi

heading "the end of the run"
page end "$url" "$scratch/over" || fail "see above"
wait "$page_server"
expect "exit status" 0 $?
grep -q '^the run web (pid [0-9]*) has ended$' "$scratch/url" || fail "it does not say so: $(cat "$scratch/url")"
wait "$run"
expect "exit status of the command" 0 $?
cat "$scratch/web.out"

heading "PostgreSQL, and a Unix socket"
if start_database db; then
  SHMVISOR_LISTEN=$scratch/page.socket start_page --name db
  expect "mode" 600 "$(stat -c %a "$scratch/page.socket")"
  page database "$url" || fail "see above"
  kill "$page_server"
  wait "$page_server"
  expect "exit status" 0 $?
  [ ! -e "$scratch/page.socket" ] || fail "the socket is left"
  stop_database
else
  echo "not tried, PostgreSQL is missing"
fi
said 1 "no run of this user has a control socket" client web --listen 127.0.0.1:0
assert_kernel_table_empty
