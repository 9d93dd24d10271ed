#!/usr/bin/env python3
"""checker.py KEY [GROUP_KEY]: makes segments and changes them until its input ends, and holds every result against what
it knows. It attaches one at the beginning and says "ready" then. Ends with 0 where all was as it should be.
GROUP_KEY: of a segment that somebody else has made, which must be there all the time."""
import ctypes
import errno
import os
import random
import select
import sys
import time

IPC_CREAT, IPC_EXCL, IPC_RMID, IPC_SET, IPC_STAT = 0o1000, 0o2000, 0, 1, 2
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
longest = calls = 0


class Status(ctypes.Structure):
    _fields_ = [("key", ctypes.c_int), ("uid", ctypes.c_uint), ("gid", ctypes.c_uint), ("cuid", ctypes.c_uint),
                ("cgid", ctypes.c_uint), ("mode", ctypes.c_ushort), ("pad", ctypes.c_ushort), ("seq", ctypes.c_ushort),
                ("pad2", ctypes.c_ushort), ("rest", ctypes.c_ulong * 2), ("bytes", ctypes.c_size_t),
                ("atime", ctypes.c_long), ("dtime", ctypes.c_long), ("ctime", ctypes.c_long), ("cpid", ctypes.c_int),
                ("lpid", ctypes.c_int), ("nattch", ctypes.c_ulong), ("more", ctypes.c_ulong * 2)]


def call(function, *arguments):
    """The result, or the name of an errno."""
    global longest, calls
    begun = time.monotonic()
    result = function(*arguments)
    error = ctypes.get_errno()
    longest = max(longest, time.monotonic() - begun)
    calls += 1
    return errno.errorcode[error] if result == -1 else result


def expect(what, wanted, got):
    if wanted != got:
        print(f"checker {os.getpid()}, call {calls}: {what}: wanted {wanted!r}, got {got!r}", flush=True)
        os._exit(1)


def get(key, size, flags):
    return call(libc.shmget, key, ctypes.c_size_t(size), flags)


def status_of(shmid):
    status = Status()
    expect(f"IPC_STAT of {shmid}", 0, call(libc.shmctl, shmid, IPC_STAT, ctypes.byref(status)))
    return status


def main():
    key = int(sys.argv[1])
    group_key = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    attached = get(key, 4096, IPC_CREAT | IPC_EXCL | 0o600)
    if not isinstance(attached, int):
        expect("the first segment", "an identifier", attached)
    place = call(libc.shmat, attached, None, 0)
    memory = ctypes.cast(place, ctypes.POINTER(ctypes.c_uint64))
    group = get(group_key, 0, 0) if group_key else None
    print("ready", flush=True)
    made = {}
    number = 0
    while not select.select([0], [], [], 0)[0]:
        number += 1
        memory[7] = number
        expect("its key", attached, get(key, 0, 0))
        expect("it is there already", "EEXIST", get(key, 1, IPC_CREAT | IPC_EXCL | 0o600))
        status = status_of(attached)
        expect("of it", (1, 4096, os.getpid()), (status.nattch, status.bytes, status.cpid))
        if group_key:
            expect("the group's", group, get(group_key, 0, 0))
        one = key + 1 + random.randrange(16)
        if one not in made:
            size = random.randrange(1, 20000)
            made[one] = (get(one, size, IPC_CREAT | IPC_EXCL | 0o600), size, 0o600)
            if not isinstance(made[one][0], int):
                expect("a new one", "an identifier", made[one][0])
        elif random.randrange(3) == 0:
            expect("IPC_RMID", 0, call(libc.shmctl, made[one][0], IPC_RMID, None))
            expect("a removed one", "EINVAL", call(libc.shmctl, made[one][0], IPC_RMID, None))
            del made[one]
            expect("its key", "ENOENT", get(one, 0, 0))
        else:
            shmid, size, mode = made[one]
            status = status_of(shmid)
            expect("what is said of it", (one, size, mode, 0), (status.key, status.bytes, status.mode, status.nattch))
            status.mode = mode ^ 0o60
            expect("IPC_SET", 0, call(libc.shmctl, shmid, IPC_SET, ctypes.byref(status)))
            made[one] = (shmid, size, mode ^ 0o60)
        expect("its memory", number, memory[7])
    for shmid, _, _ in made.values():
        expect("IPC_RMID in the end", 0, call(libc.shmctl, shmid, IPC_RMID, None))
    expect("of the first", 0, call(libc.shmctl, attached, IPC_RMID, None))
    print(f"{calls} calls, the longest {longest * 1e3:.1f} ms", flush=True)


main()
