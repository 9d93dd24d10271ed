#!/usr/bin/python3
"""Makes shm calls while signals come, whose handler Python installs without SA_RESTART: by the C library
(ctypes), and by python3-sysv-ipc.

A call that a signal interrupted (EINTR) has done nothing, and is made again: what was done is there at the
end, once. The module does not make it easy: it forgets an attach whose detach, or whose look at the size,
was interrupted. So there are at most as many attaches more than it knows of as calls were interrupted.
Prints the rates of EINTR on standard error."""
import ctypes
import errno
import os
import signal
import sys

import sysv_ipc

ROUNDS = int(sys.argv[1])
SECONDS_BETWEEN_SIGNALS = 1 / 1400
KEY = 0x5199
PAGE = 4096
IPC_CREAT, IPC_EXCL, IPC_RMID = 0o1000, 0o2000, 0
KEPT = 8
INTERRUPTED = object()

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmdt.argtypes = [ctypes.c_void_p]


class Storm:
    """Signals, and the calls that are made while they come."""

    def __init__(self, name):
        self.name = name
        self.calls = self.interrupted = self.signals = 0

    def __enter__(self):
        signal.signal(signal.SIGALRM, self.count_signal)
        signal.setitimer(signal.ITIMER_REAL, SECONDS_BETWEEN_SIGNALS, SECONDS_BETWEEN_SIGNALS)
        return self

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        print(self.name, "signals came:", self.signals > 20)
        print(f"{self.name}: {self.interrupted} of {self.calls} calls interrupted "
              f"({100 * self.interrupted / self.calls:.1f} %), {self.signals} signals", file=sys.stderr)

    def count_signal(self, _number, _frame):
        self.signals += 1

    def once(self, call):
        """The call's result; INTERRUPTED where it was, the one error that is expected."""
        self.calls += 1
        try:
            return call()
        except OSError as error:
            if error.errno != errno.EINTR:
                raise
            self.interrupted += 1
            return INTERRUPTED

    def again(self, call):
        while (result := self.once(call)) is INTERRUPTED:
            pass
        return result


def table():
    """(nattch of each segment), as the files in /proc have it."""
    with open("/proc/sysvipc/shm", encoding="ascii") as lines:
        return [int(line.split()[6]) for line in lines.readlines()[1:]]


def checked(function, *arguments):
    def call():
        result = function(*arguments)
        if result in (-1, ctypes.c_void_p(-1).value):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result

    return call


def by_the_library():
    with Storm("Python") as storm:
        size = ctypes.c_size_t(PAGE)
        shared = storm.again(checked(libc.shmget, 0, size, IPC_CREAT | 0o600))
        held = []
        for _ in range(ROUNDS):
            made = storm.again(checked(libc.shmget, KEY, size, IPC_CREAT | IPC_EXCL | 0o600))
            at = storm.again(checked(libc.shmat, made, None, 0))
            ctypes.memset(at, 1, PAGE)
            storm.again(checked(libc.shmdt, at))
            storm.again(checked(libc.shmctl, made, IPC_RMID, None))
            held.append(storm.again(checked(libc.shmat, shared, None, 0)))
            if len(held) > KEPT:
                storm.again(checked(libc.shmdt, held.pop(0)))
    print("Python segments and attaches", table())
    for at in held:
        libc.shmdt(at)
    libc.shmctl(shared, IPC_RMID, None)


def by_the_module():
    with Storm("sysv_ipc") as storm:
        # A segment whose attach was interrupted is there already.
        shared = storm.again(lambda: sysv_ipc.SharedMemory(KEY, sysv_ipc.IPC_CREAT, size=PAGE))
        for number in range(ROUNDS):
            memory = storm.again(lambda: sysv_ipc.attach(shared.id))
            text = b"%08d" % number
            storm.again(lambda: memory.write(text))
            if storm.again(lambda: memory.read(8)) != text:
                print("wrong bytes")
            storm.once(memory.detach)
        storm.again(shared.remove)
    attached = table()
    print("sysv_ipc segments", len(attached), "attached:", 1 <= attached[0] <= 1 + storm.interrupted)
    print(f"sysv_ipc: {attached[0] - 1} attaches forgotten by the module", file=sys.stderr)


by_the_library()
by_the_module()
