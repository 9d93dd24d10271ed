"""peer.py KEY ACTION...: one process that uses the segment of a key, action by action.

make BYTES       makes it             write TEXT   writes to where it is attached
attach           attaches it          read         prints what is there
detach           the last attach      stat         prints size and nattch
remove           IPC_RMID             say TEXT     prints it
wait FILE        until it is there    fork         the rest is done in a child as well
touch FILE       makes it

Prints an errno's name for what fails, and goes on."""

import ctypes
import errno
import os
import sys
import time

IPC_CREAT, IPC_EXCL, IPC_RMID, IPC_STAT = 0o1000, 0o2000, 0, 2
BOUND_SECONDS = 60

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
libc.shmdt.argtypes = [ctypes.c_void_p]


def checked(result):
    if result in (-1, ctypes.c_void_p(-1).value):
        print(errno.errorcode[ctypes.get_errno()], flush=True)
        return None
    return result


def stat(segment):
    ds = (ctypes.c_uint64 * 14)()  # struct shmid64_ds: the size behind 48 bytes, nattch behind 88
    if checked(libc.shmctl(segment, IPC_STAT, ds)) is not None:
        print("size", ds[6], "nattch", ds[11], flush=True)


def main():
    key = int(sys.argv[1], 0)
    words = iter(sys.argv[2:])
    addresses = []

    def find():
        return libc.shmget(key, 0, 0)

    for word in words:
        if word == "make":
            checked(libc.shmget(key, int(next(words)), IPC_CREAT | IPC_EXCL | 0o666))
        elif word == "attach":
            address = checked(libc.shmat(find(), None, 0))
            addresses += [address] if address else []
        elif word == "detach":
            checked(libc.shmdt(addresses.pop()))
        elif word == "write":
            ctypes.memmove(addresses[-1], next(words).encode() + b"\0", 64)
        elif word == "read":
            print(ctypes.string_at(addresses[-1]).decode(), flush=True)
        elif word == "stat":
            stat(find())
        elif word == "remove":
            checked(libc.shmctl(find(), IPC_RMID, None))
        elif word == "say":
            print(next(words), flush=True)
        elif word == "touch":
            open(next(words), "w", encoding="ascii").close()
        elif word == "fork":
            if os.fork() == 0:
                continue
            os.wait()
        elif word == "wait":
            name = next(words)
            deadline = time.monotonic() + BOUND_SECONDS
            while not os.path.exists(name):
                if time.monotonic() > deadline:
                    sys.exit("waited for " + name)
                time.sleep(0.02)
        else:
            sys.exit("what is " + word)


main()
