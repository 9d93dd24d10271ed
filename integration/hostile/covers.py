"""covers.py NAMESPACES FOLDER: makes IPC namespaces in a user namespace of its own, and keeps them all.

Writes into FOLDER/first and FOLDER/last how many segments it gets in its first and last namespace,
after it has set kernel.shmmni to 1 there; then FOLDER/ready. Lives until FOLDER/go exists.
"""
import ctypes
import os
import sys
import time

CLONE_NEWUSER, CLONE_NEWIPC = 0x10000000, 0x08000000
SHMMNI = "/proc/sys/kernel/shmmni"
libc = ctypes.CDLL(None, use_errno=True)
namespaces, folder = int(sys.argv[1]), sys.argv[2]


def unshare(kind):
    if libc.unshare(kind) != 0:
        raise SystemExit(f"unshare: errno {ctypes.get_errno()}")


def write(name, text):
    with open(os.path.join(folder, name), "w") as file:
        file.write(text)


def segments():
    """How many segments there may be, at most 3: what is in force."""
    return sum(libc.shmget(0, 1, 0o600) >= 0 for _ in range(3))


def limit_to_one():
    with open(SHMMNI, "w") as file:
        file.write("1")
    return segments()


uid, gid = os.getuid(), os.getgid()
unshare(CLONE_NEWUSER)
for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
    with open("/proc/self/" + name, "w") as file:
        file.write(text)
kept = []
for number in range(namespaces):
    unshare(CLONE_NEWIPC)
    kept.append(os.open("/proc/self/ns/ipc", os.O_RDONLY))
    if number == 0:
        write("first", str(limit_to_one()))
write("last", str(limit_to_one()))
write("ready", "")
while not os.path.exists(os.path.join(folder, "go")):
    time.sleep(0.05)
