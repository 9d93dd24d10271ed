"""The segment of attached.py, and whether kernel.shm_rmid_forced is set."""
from shm import *

with open("/proc/sys/kernel/shm_rmid_forced", encoding="utf-8") as forced:
    print(forced.read().strip(), "found" if libc.shmget(0x66, ctypes.c_size_t(0), 0) >= 0 else "gone")
