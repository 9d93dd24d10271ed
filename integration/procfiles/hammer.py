"""Uses the files in /proc for ever from many processes, as fast as it can, until it is killed.

hammer.py FOLDER: each process writes a line to FOLDER/PID once it has had an answer. An error that
says that nobody serves any more ends it; any other is a traceback and status 1.
"""
import ctypes
import errno
import mmap
import os
import random
import signal
import sys
import threading

from transcript import *

GONE = (errno.ENOTCONN, errno.ECONNABORTED, errno.ECONNREFUSED, errno.ENOSYS)


def read_all(path, size):
    file = os.open(path, os.O_RDONLY)
    try:
        while os.read(file, size):
            pass
    finally:
        os.close(file)


def attach():
    made = call(libc.shmget, IPC_PRIVATE, 4096, 0o600)
    if made == "ENOSYS":
        raise OSError(errno.ENOSYS, "shmget")
    address = call(libc.shmat, made, None, 0)
    if isinstance(address, int):
        libc.shmdt(address)
    libc.shmctl(made, IPC_RMID, None)


def attach_while_served():
    try:
        attach()
    except OSError as error:
        if error.errno not in GONE:
            raise


def fault():
    """Touches a private mapping of the table in a child, which gets SIGBUS; the kernel's own cannot be mapped."""
    pid = os.fork()
    if pid == 0:
        libc.mmap.restype = ctypes.c_void_p
        file = os.open(TABLE, os.O_RDONLY)
        address = libc.mmap(None, ctypes.c_size_t(4096), mmap.PROT_READ, mmap.MAP_PRIVATE, file, ctypes.c_long(0))
        if address not in (None, NO_ADDRESS):
            other = threading.Thread(target=attach_while_served)
            other.start()
            ctypes.string_at(address, 1)
        os._exit(0)
    os.waitpid(pid, 0)


def killed_reader():
    pid = os.fork()
    if pid == 0:
        while True:
            read_all(TABLE, 7)
    for _ in range(random.randrange(2000)):
        pass
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def copy_some():
    """Any page may be asked for; none is given."""
    file = os.open(random.choice((TABLE, sysctl("shmmax"))), os.O_RDONLY)
    reading, writing = os.pipe()
    try:
        os.splice(file, writing, 1 << 16, random.randrange(4) << random.randrange(10, 40))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    finally:
        for descriptor in (file, reading, writing):
            os.close(descriptor)


def set_limit():
    with open(sysctl("shmall"), "w") as file:
        file.write(str(1 << random.randrange(30, 60)))


def work(folder, operations):
    done = False
    while True:
        try:
            random.choice(operations)()
        except OSError as error:
            if error.errno in GONE:
                return
            raise
        if not done:
            with open(os.path.join(folder, str(os.getpid())), "w") as file:
                file.write("served\n")
            done = True


operations = [lambda: read_all(TABLE, 4096), lambda: read_all(TABLE, 3), lambda: read_all(sysctl("shmmax"), 100),
              lambda: os.stat(TABLE), copy_some, set_limit, attach, fault, killed_reader]
children = []
for number in range(int(sys.argv[2])):
    child = os.fork()
    if child == 0:
        work(sys.argv[1], operations)
        os._exit(0)
    children.append(child)
statuses = [os.waitpid(child, 0)[1] for child in children]
sys.exit(1 if any(statuses) else 0)
