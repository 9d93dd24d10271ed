#!/bin/bash
# Clients that send anything, read nothing, or come in crowds. The command's calls go on meanwhile, and
# shmvisor keeps neither descriptors nor memory for such clients.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/lib.sh" || exit 1
need python3 python3

cat >"$scratch/worker.py" <<'EOS'
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
shmid = libc.shmget(0x77, ctypes.c_size_t(4096), 0o1600)
slowest, calls = 0, 0
while not os.path.exists(sys.argv[1]):
    before = time.monotonic()
    if libc.shmget(0x77, ctypes.c_size_t(4096), 0) != shmid:
        sys.exit("a shmget failed")
    slowest = max(slowest, time.monotonic() - before)
    calls += 1
print(f"{calls} calls, the slowest in {slowest * 1000:.1f} ms")
sys.exit(slowest > 2)
EOS
start_run work -- python3 "$scratch/worker.py" "$scratch/stop"
descriptors() { find "/proc/$run/fd" -mindepth 1 -maxdepth 1 | wc -l; }
resident_kib() { awk '/^VmRSS/ { print $2 }' "/proc/$run/status"; }
before=$(descriptors)
timeout 100 python3 "$(dirname "$0")/hostile_clients.py" "$XDG_RUNTIME_DIR/shmvisor/work.control" || fail "see above"
# Of 1400 clients. Some more are of what a run opens when it is first needed.
at_rest() { [ "$(descriptors)" -le $((before + 8)) ]; }
wait_until 20 at_rest || fail "descriptors: $before before, $(descriptors) after"
[ "$(resident_kib)" -lt 65536 ] || [ -n "${SHMVISOR_SANITIZED:-}" ] || fail "it holds $(resident_kib) KiB"
touch "$scratch/stop"
wait "$run"
expect "the command's exit status" 0 $?
cat "$scratch/work.out"
assert_silent "$scratch/work.log"
assert_kernel_table_empty
