"""beside_mounts.py TIMES: enters IPC namespaces while somebody mounts and unmounts in a loop.

Each child sets shmmni of an IPC namespace of its own, and asks for it by IPC_INFO. Prints how many were told what they
had set. Natively that is all of them. Any mount disturbs whoever walks through mounts without waiting.
"""

import ctypes
import os
import signal
import sys
import tempfile

CLONE_NEWNS, CLONE_NEWIPC, MS_PRIVATE_ALL, MNT_DETACH, IPC_INFO = 0x20000, 0x08000000, 0x44000, 2, 3
libc = ctypes.CDLL(None, use_errno=True)


class Shminfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_ulong) for name in ("shmmax", "shmmin", "shmmni", "shmseg", "shmall", *"abcd")]


def mount_in_a_loop(folder):
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(None, b"/", None, MS_PRIVATE_ALL, None) != 0:
        os._exit(1)
    while libc.mount(b"none", folder.encode(), b"tmpfs", 0, None) == 0:
        libc.umount2(folder.encode(), MNT_DETACH)
    os._exit(1)


def is_told_what_it_sets():
    if libc.unshare(CLONE_NEWIPC) != 0:
        return False
    with open("/proc/sys/kernel/shmmni", "w", encoding="ascii") as limit:
        limit.write("77")
    info = Shminfo()
    return libc.shmctl(0, IPC_INFO, ctypes.byref(info)) >= 0 and info.shmmni == 77


times = int(sys.argv[1])
with tempfile.TemporaryDirectory() as folder:
    mounter = os.fork()
    if mounter == 0:
        mount_in_a_loop(folder)
    told = 0
    for _ in range(times):
        child = os.fork()
        if child == 0:
            os._exit(0 if is_told_what_it_sets() else 1)
        told += os.waitpid(child, 0)[1] == 0
    if os.waitpid(mounter, os.WNOHANG) != (0, 0):
        sys.exit("the mounts ended early")
    os.kill(mounter, signal.SIGKILL)
    os.waitpid(mounter, 0)
print(f"{told} of {times}")
