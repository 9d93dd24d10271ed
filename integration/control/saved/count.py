"""Those of many.py."""
from shm import *

found = [get(1 + number, 0) for number in range(10000)]
assert found == sorted(found) and len(set(found)) == 10000
print(len(found), ctypes.string_at(attach(get(9001, 0)), 4))
