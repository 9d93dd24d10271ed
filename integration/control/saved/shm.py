"""What the programs of this folder share: the four calls, struct shmid_ds, and words between them and the test."""
import ctypes
import os
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
folder = sys.argv[1]
IPC_RMID, IPC_SET, IPC_STAT, SHM_LOCK = 0, 1, 2, 11
SHM_HUGETLB, SHM_NORESERVE = 0o4000, 0o10000


class Ds(ctypes.Structure):
    _fields_ = [
        ("key", ctypes.c_int), ("uid", ctypes.c_uint), ("gid", ctypes.c_uint), ("cuid", ctypes.c_uint),
        ("cgid", ctypes.c_uint), ("mode", ctypes.c_uint), ("seq", ctypes.c_ushort), ("pad", ctypes.c_ushort),
        ("r1", ctypes.c_ulong), ("r2", ctypes.c_ulong), ("segsz", ctypes.c_size_t), ("atime", ctypes.c_long),
        ("dtime", ctypes.c_long), ("ctime", ctypes.c_long), ("cpid", ctypes.c_int), ("lpid", ctypes.c_int),
        ("nattch", ctypes.c_ulong), ("r3", ctypes.c_ulong), ("r4", ctypes.c_ulong)]


def get(key, size, flags=0o1640):
    shmid = libc.shmget(ctypes.c_int(key), ctypes.c_size_t(size), flags)
    if shmid < 0:
        raise OSError(ctypes.get_errno(), f"shmget {key:#x}")
    return shmid


def attach(shmid):
    address = libc.shmat(shmid, None, 0)
    assert address != ctypes.c_void_p(-1).value, (shmid, os.strerror(ctypes.get_errno()))
    return address


def detach(address):
    assert libc.shmdt(ctypes.c_void_p(address)) == 0


def control(shmid, command, ds=None):
    if libc.shmctl(shmid, command, ctypes.byref(ds) if ds else None) != 0:
        raise OSError(ctypes.get_errno(), f"shmctl {shmid} {command}")


def stat(shmid):
    ds = Ds()
    control(shmid, IPC_STAT, ds)
    return ds


def shown(shmid):
    """All fields of struct shmid_ds."""
    ds = stat(shmid)
    return f"{shmid}: " + " ".join(f"{name}={getattr(ds, name)}" for name, _ in Ds._fields_)


def wait_for(name):
    while not os.path.exists(f"{folder}/{name}"):
        time.sleep(0.02)


def tell(name, text=""):
    with open(f"{folder}/{name}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.rename(f"{folder}/{name}.new", f"{folder}/{name}")
