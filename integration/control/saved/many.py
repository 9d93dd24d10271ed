"""Ten thousand segments, of which ten have contents."""
from shm import *

made = [get(1 + number, 4096) for number in range(10000)]
for number in range(0, 10000, 1000):
    address = attach(made[number])
    ctypes.memmove(address, str(number).encode(), len(str(number)))
    detach(address)
