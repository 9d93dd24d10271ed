"""Segments that come and go; no call waits for long."""
from shm import *

kept = attach(get(0x42, 4 << 20))
ctypes.memset(kept, 1, 4 << 20)
longest = 0
tell("busy")
while not os.path.exists(folder + "/over"):
    began = time.time()
    shmid = get(0, 1 << 16)
    address = attach(shmid)
    ctypes.memset(address, 2, 1 << 16)
    control(shmid, IPC_RMID)
    detach(address)
    longest = max(longest, time.time() - began)
assert longest < 10, f"a call waited {longest}"
