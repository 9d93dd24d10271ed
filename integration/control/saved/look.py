"""What fill.py left."""
from shm import *

with open(f"{folder}/table", encoding="utf-8") as table:
    tell("table2", "\n".join(shown(int(line.split(":")[0])) for line in table))
first = get(0x77, 0)
address = attach(first)
SIZE = 257 * 4096
wanted = bytearray(SIZE)
wanted[:5] = b"begin"
wanted[100 * 4096 + 50:100 * 4096 + 56] = b"middle"
wanted[-3:] = b"end"
assert ctypes.string_at(address, SIZE) == wanted, "other contents"
detach(address)
sparse = get(-7, 0)
address = attach(sparse)
assert ctypes.string_at(address + (3 << 30), 3) == b"far"
detach(address)
try:
    get(0xd00, 0, 0)
    raise AssertionError("a removed segment is there")
except FileNotFoundError:
    pass
print(get(0, 1), get(0, 1), flush=True)
