"""kernel.shm*: every way to open, read and write them, as root and as others; what a value does."""
import fcntl
import os
import select
import stat
import struct
import sys
import termios

from transcript import *

TEXTS = [
    b"1\n", b"1", b"", b" ", b"\n", b"\0", b"-1", b"-0", b"-", b"--1", b"+1", b"1 2", b"1\t2", b"1\n0\n",
    b"1\0", b"0x1", b"0X1", b"0x", b"0xg", b"01", b"08", b"0", b"00", b"010", b"0x10", b"1a", b"1,0", b"1.0",
    b" 1", b"\t\n\v\f\r 1", b"\xa01", b"\x851", b"1\r\n", b"1\v", b"1 \r\v\f", b"a", b"yes",
    b"2147483647", b"2147483648", b"-2147483648", b"-2147483649", b"4294967296", b"4294967297", b"32767",
    b"32768", b"32769", b"9223372036854775807", b"9223372036854775808", b"18446744073692774399",
    b"18446744073709551615", b"18446744073709551616", b"36893488147419103233", b"99999999999999999999",
    b"0xffffffffffffffff", b"0x1ffffffffffffffff", b"01777777777777777777777", b"02000000000000000000000",
    b"00000000000000000001", b"000000000000000000001", b"0000000000000000000001", b"0000000000000000000000",
    b"1" + b" " * 20, b"1" + b" " * 21, b"1" + b"\n" * 4093, b"1" + b" " * 4094, b"1" + b" " * 4095,
    b"1" + b" " * 10000, b" " * 4093 + b"1", b" " * 4094 + b"1", b" " * 4095 + b"1", b" " * 5000 + b"1",
    b"1 " + b"x" * 5000, b"1" + b"x" * 5000,
]


def short(text):
    return repr(text) if len(text) < 40 else "%r... %d bytes" % (text[:10], len(text))


def write_once(name, text, flags=0):
    file = attempt(os.open, sysctl(name), os.O_WRONLY | flags)
    if isinstance(file, str):
        return "open: " + file
    result = attempt(os.write, file, text)
    os.close(file)
    return result


def states():
    heading("what stat says")
    for name in SYSCTLS:
        status = os.stat(sysctl(name))
        print(name, oct(status.st_mode), status.st_uid, status.st_gid, status.st_size, status.st_nlink,
              status.st_blocks, status.st_blksize)


def texts():
    for name in SYSCTLS:
        heading("writes to " + name)
        before = text_of(sysctl(name))
        for text in TEXTS:
            print(name, short(text), write_once(name, text), text_of(sysctl(name)))
        if name != "shm_next_id":  # nothing sets that one back to -1
            print("back", write_once(name, before), text_of(sysctl(name)))


def positions():
    for name in SYSCTLS:
        heading("positions in " + name)
        file = os.open(sysctl(name), os.O_RDONLY)
        print([os.read(file, size) for size in (0, 1, 1, 100)])
        print([os.pread(file, size, offset) for size, offset in ((100, 0), (2, 0), (100, 1), (100, 1 << 40))])
        print(attempt(os.lseek, file, 0, os.SEEK_SET), os.read(file, 100), os.read(file, 100))
        print([attempt(os.lseek, file, offset, whence)
               for offset, whence in ((0, 2), (3, 2), (5, 0), (-1, 0), (1, 1), (0, 3), (0, 4), (7, 4))])
        os.close(file)

        file = os.open(sysctl(name), os.O_RDWR)
        print("in two", os.write(file, b"1"), attempt(os.write, file, b"0"), attempt(os.write, file, b"x"))
        print(os.pread(file, 100, 0), attempt(os.pwrite, file, b"0", 1), attempt(os.pwrite, file, b"x", 5))
        print(attempt(os.pwrite, file, b"", 0), os.pread(file, 100, 0), attempt(os.pwrite, file, b"0", 0))
        print(os.pread(file, 100, 0), attempt(os.writev, file, [b"1", b"2"]),
              attempt(os.pwritev, file, [b"", b" ", b"1", b"\n"], 0), os.pread(file, 100, 0))
        print(attempt(os.pwrite, file, b"0", -1), os.lseek(file, 0, os.SEEK_CUR))
        os.close(file)


def flags():
    for name in SYSCTLS:
        heading("ways to open " + name)
        for what, flag in (("append", os.O_APPEND), ("truncate", os.O_TRUNC), ("create", os.O_CREAT),
                           ("exclusively", os.O_CREAT | os.O_EXCL), ("nonblock", os.O_NONBLOCK),
                           ("sync", os.O_SYNC), ("direct", os.O_DIRECT), ("directory", os.O_DIRECTORY)):
            print(what, write_once(name, b"1\n", flag), text_of(sysctl(name)),
                  write_once(name, b"0\n", flag), text_of(sysctl(name)))
        file = os.open(sysctl(name), os.O_WRONLY | os.O_APPEND)
        print("appended", os.write(file, b"1\n"), os.write(file, b"0\n"), text_of(sysctl(name)))
        os.close(file)
        for what, flag in (("read and truncate", os.O_RDONLY | os.O_TRUNC), ("write", os.O_WRONLY)):
            file = os.open(sysctl(name), flag)
            print(what, attempt(os.read, file, 10))
            os.close(file)
        file = os.open(sysctl(name), os.O_RDONLY)
        print("write to a reader's", attempt(os.write, file, b"1"))
        os.close(file)


def other_operations():
    for name in SYSCTLS:
        heading("other operations on " + name)
        path = sysctl(name)
        file = os.open(path, os.O_RDWR)
        poll = select.poll()
        poll.register(file, 0xffff)
        print("poll", poll.poll(1000)[0][1])
        print("fsync", attempt(os.fsync, file), attempt(os.fdatasync, file))
        print("ftruncate", attempt(os.ftruncate, file, 0), attempt(os.ftruncate, file, 5), text_of(path))
        print("truncate", attempt(os.truncate, path, 0), os.stat(path).st_size)
        print("fallocate", attempt(os.posix_fallocate, file, 0, 10))
        print("chmod", attempt(os.chmod, path, 0o600), "chown", attempt(os.chown, path, 1, 1))
        print("utime", attempt(os.utime, path), attempt(os.utime, path, (1, 1)))
        print("mode", oct(os.stat(path).st_mode))
        print("access", [os.access(path, mode) for mode in (os.F_OK, os.R_OK, os.W_OK, os.X_OK)])
        print("execute", attempt(os.execv, path, [path]))
        print("terminal", attempt(fcntl.ioctl, file, termios.TCGETS, b"\0" * 64))
        print("unknown ioctl", attempt(fcntl.ioctl, file, 0x12345678))
        print("flock", attempt(fcntl.flock, file, fcntl.LOCK_EX | fcntl.LOCK_NB))
        print("lockf", attempt(fcntl.lockf, file, fcntl.LOCK_EX | fcntl.LOCK_NB))
        print("xattr", attempt(os.getxattr, path, "user.x"), attempt(os.setxattr, path, "user.x", b"1"))
        print("unlink", attempt(os.unlink, path), "rename", attempt(os.rename, path, path + "2"))
        print("link", attempt(os.link, path, path + "2"))
        os.close(file)


def opened_by_root():
    """Who writes counts, not who opened."""
    files = {name: os.open(sysctl(name), os.O_RDWR) for name in SYSCTLS}

    def use():
        become(1000)
        for name, file in files.items():
            print(name, "read", attempt(os.pread, file, 100, 0), "write", attempt(os.pwrite, file, b"0", 0))

    in_child(use)
    for file in files.values():
        os.close(file)


def as_user(uid, keep=False):
    if keep:  # an ordinary uid that keeps root's capabilities
        libc.prctl(8, 1, 0, 0, 0)
    become(uid)
    if keep:
        with open("/proc/self/status") as file:
            permitted = int([line.split()[1] for line in file if line.startswith("CapPrm")][0], 16)
        header = struct.pack("Ii", 0x20080522, 0)
        low, high = permitted & 0xffffffff, permitted >> 32
        libc.capset(header, struct.pack("6I", low, low, 0, high, high, 0))
    for name in SYSCTLS:
        print(name, [os.access(sysctl(name), mode) for mode in (os.R_OK, os.W_OK)],
              text_of(sysctl(name)), write_once(name, b"1"),
              attempt(os.open, sysctl(name), os.O_RDONLY | os.O_TRUNC) == "EACCES",
              attempt(os.truncate, sysctl(name), 0), attempt(os.utime, sysctl(name)),
              attempt(os.chmod, sysctl(name), 0o644))


def effective_uid_alone():
    """Root's uid counts, its capabilities do not; access(2) asks by the effective uid too."""
    os.setresuid(1000, 0, 0)
    for name in SYSCTLS:
        print(name, [os.access(sysctl(name), mode) for mode in (os.R_OK, os.W_OK)], write_once(name, b"1"))
    os.setresuid(0, 0, 0)
    libc.capset(struct.pack("Ii", 0x20080522, 0), b"\0" * 24)
    for name in SYSCTLS:
        print(name, [os.access(sysctl(name), mode) for mode in (os.R_OK, os.W_OK)], write_once(name, b"1"))


def root_gid_alone():
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(1000, 1000, 1000)
    print([write_once(name, b"1") for name in SYSCTLS])


def new_namespace():
    """A new IPC namespace has values of its own, and a descriptor stays with the one of its open."""
    write_once("shmmax", b"123456")
    old = os.open(sysctl("shmmax"), os.O_RDWR)
    print("unshare", call(libc.unshare, CLONE_NEWIPC))
    print([text_of(sysctl(name)) for name in ("shmmni", "shm_rmid_forced", "shm_next_id")])
    print("by the old descriptor", os.pread(old, 100, 0), os.pwrite(old, b"234567", 0))
    print("new", write_once("shmmax", b"7777"), text_of(sysctl("shmmax")), "old", os.pread(old, 100, 0))
    print("new", call(libc.shmget, IPC_PRIVATE, 7778, 0o600), call(libc.shmget, IPC_PRIVATE, 7777, 0o600))


def user_namespace():
    """The root of the user namespace that owns the IPC namespace may write, and is shown as owner."""
    print("unshare", call(libc.unshare, CLONE_NEWUSER))
    with open("/proc/self/setgroups", "w") as file:
        file.write("deny")
    with open("/proc/self/uid_map", "w") as file:
        file.write("0 0 1")
    with open("/proc/self/gid_map", "w") as file:
        file.write("0 0 1")
    print("outer", [(os.stat(sysctl(name)).st_uid, write_once(name, b"1")) for name in SYSCTLS])
    print("unshare", call(libc.unshare, CLONE_NEWIPC))
    print("inner", [(os.stat(sysctl(name)).st_uid, write_once(name, b"1")) for name in SYSCTLS])


def shifted_user_namespace():
    """The same, made by an ordinary user who is root inside."""
    os.setresuid(1000, 1000, 0)
    os.setresuid(0, 0, 0)
    ready, done = os.pipe(), os.pipe()

    def inside():
        become(1000)
        print("unshare", call(libc.unshare, CLONE_NEWUSER | CLONE_NEWIPC), flush=True)
        os.write(ready[1], b"1")
        os.read(done[0], 1)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        print("inner", [(os.stat(sysctl(name)).st_uid, write_once(name, b"1")) for name in SYSCTLS])
        os.setresgid(5, 5, 5)
        os.setresuid(5, 5, 5)
        print("another", [(os.stat(sysctl(name)).st_uid, write_once(name, b"1")) for name in SYSCTLS])

    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            inside()
            sys.stdout.flush()
            status = 0
        finally:
            os._exit(status)
    os.read(ready[0], 1)
    for kind in ("uid_map", "gid_map"):
        with open("/proc/%d/%s" % (pid, kind), "w") as file:
            file.write("0 1000 1\n5 2000 1")
    os.write(done[1], b"1")
    print("ended", os.waitpid(pid, 0)[1])


def effects():
    heading("limits at work")
    write_once("shmmax", b"8192")
    print("shmmax", [call(libc.shmget, IPC_PRIVATE, size, 0o600) for size in (8193, 8192)])
    write_once("shmmax", b"18446744073692774399")
    write_once("shmall", b"3")
    print("shmall", [call(libc.shmget, IPC_PRIVATE, size, 0o600) for size in (8192, 4096, 1)])
    write_once("shmall", b"18446744073692774399")
    write_once("shmmni", b"3")
    print("shmmni", [call(libc.shmget, IPC_PRIVATE, 1, 0o600) for _ in range(2)])
    write_once("shmmni", b"4096")
    for wanted in (b"5", b"5", b"70000", b"0", b"2147483647", b"98304"):
        print("shm_next_id", wanted, write_once("shm_next_id", wanted), text_of(sysctl("shm_next_id")),
              call(libc.shmget, IPC_PRIVATE, 1, 0o600), text_of(sysctl("shm_next_id")))

    heading("segments of the dead")

    def make(mapped):
        made = call(libc.shmget, IPC_PRIVATE, 4096, 0o600)
        if mapped:
            libc.shmat(made, None, 0)

    def segments():
        return len(text_of(TABLE).splitlines()) - 1

    ids = [int(line.split()[1]) for line in text_of(TABLE).splitlines()[1:]]
    print([call(libc.shmctl, one, IPC_RMID, None) for one in ids], segments())
    in_child(make, False)
    in_child(make, True)
    print("left", segments())
    mine = libc.shmget(IPC_PRIVATE, 4096, 0o600)
    print("forced", write_once("shm_rmid_forced", b"1"), segments())
    in_child(make, False)
    in_child(make, True)
    print("left", segments())
    address = libc.shmat(mine, None, 0)
    libc.shmdt(address)
    print("detached by its living creator", segments())
    print("free again", write_once("shm_rmid_forced", b"0"))
    in_child(make, True)
    print("left", segments())


states()
in_child(texts)
in_child(positions)
in_child(flags)
in_child(other_operations)
heading("opened by root, used by another")
opened_by_root()
heading("an ordinary user")
in_child(as_user, 1000)
heading("an ordinary user with capabilities")
in_child(as_user, 1000, True)
heading("root in parts")
in_child(effective_uid_alone)
in_child(root_gid_alone)
heading("another IPC namespace")
in_child(new_namespace)
heading("a user namespace")
in_child(user_namespace)
heading("an ordinary user's user namespace")
in_child(shifted_user_namespace)
for setting in SYSCTLS[:4]:  # as at the start
    write_once(setting, {"shmmni": b"4096", "shm_rmid_forced": b"0"}.get(setting, b"18446744073692774399"))
in_child(effects)
print("end")
