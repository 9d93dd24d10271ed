"""Segments of every kind; then waits."""
from shm import *

first = get(0x77, 256 * 4096 + 100)
address = attach(first)
ctypes.memmove(address, b"begin", 5)
ctypes.memmove(address + 100 * 4096 + 50, b"middle", 6)
ctypes.memmove(address + 257 * 4096 - 3, b"end", 3)  # behind the size, in the last page
ctypes.memset(address + 7 * 4096, 0, 4096)  # touched, and nothing but zeros
detach(address)
gone = get(0, 4096)
locked = get(0x1234, 4096, 0o1600 | SHM_NORESERVE)
control(locked, SHM_LOCK)
ds = stat(locked)
ds.uid, ds.gid, ds.mode = 1000, 1001, 0o604
control(locked, IPC_SET, ds)
sparse = get(-7, 4 << 30)
address = attach(sparse)
ctypes.memmove(address + (3 << 30), b"far", 3)
detach(address)
# Without a page in the pool, if need be; -1 where there are no huge pages at all.
huge = libc.shmget(0x99, ctypes.c_size_t(1 << 21), 0o1600 | SHM_HUGETLB | SHM_NORESERVE)
control(gone, IPC_RMID)
doomed = get(0xd00, 4096)
kept = attach(doomed)
control(doomed, IPC_RMID)
tell("table", "\n".join(shown(shmid) for shmid in (first, locked, sparse, huge) if shmid != -1))
tell("ready", str(huge))
wait_for("go-on")
detach(kept)
tell("went-on", f"{get(0, 1)} {get(0, 1)}")
wait_for("over")
