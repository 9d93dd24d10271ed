"""What the segment had before."""
from shm import *

shmid = get(0x55, 5000)
address = attach(shmid)
ds = stat(shmid)
print(ctypes.string_at(address, 4).rstrip(b"\0"), ds.uid, ds.nattch)
ctypes.memmove(address, b"mine", 4)
