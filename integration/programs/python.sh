#!/bin/bash
# python3-sysv-ipc: create, write, read in another process, detach, remove.
. "$(dirname "$0")/../lib.sh" || exit 1
[ -x /usr/bin/python3 ] || skip "/usr/bin/python3 is missing (Debian package python3)"
/usr/bin/python3 -c 'import sysv_ipc' 2>/dev/null || skip "python3-sysv-ipc is missing"
enter_namespaces "$@"
make_scratch

cat >"$scratch/session.py" <<'END'
import os
import subprocess
import sys

import sysv_ipc

if len(sys.argv) == 2:
    memory = sysv_ipc.SharedMemory(int(sys.argv[1]))
    print("other process reads", memory.read(5).decode())
    memory.write(b"other", 4000)
    memory.detach()
    try:
        sysv_ipc.SharedMemory(int(sys.argv[1]), sysv_ipc.IPC_CREX)
    except sysv_ipc.ExistentialError:
        print("exists")
    sys.exit(0)

key = 0x7079
memory = sysv_ipc.SharedMemory(key, sysv_ipc.IPC_CREX, mode=0o600, size=8192)
memory.write(b"hello")
print("size", memory.size, "mode", oct(memory.mode), "attached", memory.number_attached)
sys.stdout.flush()
subprocess.run([sys.executable, __file__, str(key)], check=True)
print("reads", memory.read(5, 4000).decode())
child = os.fork()
if child == 0:
    memory.write(b"child", 100)
    os._exit(0)
os.waitpid(child, 0)
print("reads", memory.read(5, 100).decode())
print("own creation", memory.creator_pid == os.getpid(), memory.last_pid != 0)
read_only = sysv_ipc.attach(memory.id, None, sysv_ipc.SHM_RDONLY)
print("read-only sees", read_only.read(5).decode())
try:
    read_only.write(b"x")
    print("written")
except OSError:
    print("refused")
read_only.detach()
memory.remove()
try:
    sysv_ipc.SharedMemory(key)
except sysv_ipc.ExistentialError:
    print("gone")
memory.detach()
END
cat >"$scratch/wanted" <<'END'
size 8192 mode 0o600 attached 1
other process reads hello
exists
reads other
reads child
own creation True True
read-only sees hello
refused
gone
END
supervised /usr/bin/python3 "$scratch/session.py" >"$scratch/out" 2>"$scratch/err" ||
  fail "status $?: $(cat "$scratch/out" "$scratch/err")"
assert_silent "$scratch/err"
diff -u "$scratch/wanted" "$scratch/out" || fail "unexpected output"
assert_kernel_table_empty
