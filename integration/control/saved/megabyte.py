"""More than a small disk takes."""
from shm import *

ctypes.memset(attach(get(0, 1 << 20)), 7, 1 << 20)
