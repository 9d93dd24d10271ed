"""Turns the cycle of identifiers."""
from shm import *

for _ in range(70):
    control(get(0, 1), IPC_RMID)
print(get(5, 1), get(0, 1), flush=True)
