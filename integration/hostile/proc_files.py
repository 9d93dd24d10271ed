"""A client of the files in /proc that means no good; its parent is the supervisor.

proc_files.py memory | no-memory | fuzz SEED SECONDS
"""
import ctypes
import errno
import fcntl
import mmap
import os
import random
import resource
import signal
import sys
import time

TABLE = "/proc/sysvipc/shm"
SYSCTLS = ["/proc/sys/kernel/" + name for name in ("shmmax", "shmall", "shmmni", "shm_rmid_forced", "shm_next_id")]
FILES = [TABLE] + SYSCTLS
SUPERVISOR = os.getppid()
MIB = 1 << 20
libc = ctypes.CDLL(None, use_errno=True)


def status(name):
    with open(f"/proc/{SUPERVISOR}/status") as lines:
        for line in lines:
            if line.startswith(name + ":"):
                return int(line.split()[1])
    raise SystemExit(f"the supervisor's status has no {name}")


def resident():
    return status("VmRSS") * 1024


def make_segments(count):
    for _ in range(count):
        if libc.shmget(0, 1, 0o600) < 0:
            raise SystemExit(f"shmget: errno {ctypes.get_errno()}")


def read_whole(path=TABLE):
    with open(path, "rb", buffering=0) as file:
        text = b""
        while piece := file.read(1 << 16):
            text += piece
    return text


def limit_descriptors():
    limit = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 65536)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def open_many():
    """As many tables as can be had, each read in the middle of a line; the descriptors and the errno."""
    files = []
    while True:
        try:
            files.append(os.open(TABLE, os.O_RDONLY))
            os.read(files[-1], 5000)
            os.read(files[-1], 1)
        except OSError as error:
            return files, error.errno


def memory():
    limit_descriptors()
    make_segments(1500)
    read_whole()
    before = resident()
    files, error = open_many()
    assert error == errno.ENFILE, errno.errorcode[error]
    assert len(files) >= 1000, len(files)
    grown = resident() - before
    assert grown < 32 * MIB, f"{len(files)} open tables: {grown} bytes more"
    # Another user has its share all the same.
    pid = os.fork()
    if pid == 0:
        os.setresuid(65534, 65534, 65534)
        os._exit(0 if len(read_whole()) > 1000 else 1)
    assert os.waitpid(pid, 0)[1] == 0, "another user cannot open it"
    for file in files:
        os.close(file)
    assert read_whole().count(b"\n") == 1501


def no_memory():
    limit_descriptors()
    make_segments(1500)
    read_whole()
    _, hard = resource.prlimit(SUPERVISOR, resource.RLIMIT_DATA)
    data = status("VmData") * 1024
    resource.prlimit(SUPERVISOR, resource.RLIMIT_DATA, (data + 64 * 1024, hard))
    refused = 0
    kept = []
    for _ in range(3000):
        try:
            kept.append(os.open(TABLE, os.O_RDONLY))
            os.read(kept[-1], 4096)
        except OSError as error:
            assert error.errno in (errno.ENOMEM, errno.ENFILE), error
            refused += 1
    segment = libc.shmget(0, 1 << 20, 0o600)
    os.kill(SUPERVISOR, 0)
    resource.prlimit(SUPERVISOR, resource.RLIMIT_DATA, (hard, hard))
    for file in kept:
        os.close(file)
    expected = 1501 + (segment >= 0)
    assert read_whole().count(b"\n") == expected, "afterwards all is as before"


class Fuzzer:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.files = []

    def size(self):
        return self.random.choice((0, 1, 2, 7, 100, 4095, 4096, 4097, 65536, 131072, 1 << 20, (1 << 20) + 1))

    def offset(self):
        return self.random.choice((0, 1, 100, 131, 4095, 4096, 1 << 20, (1 << 30) - 1, 1 << 30, (1 << 30) + 4097, 1 << 31,
                                   1 << 40, (1 << 63) - 1, (1 << 63) - 4097))

    def bytes(self):
        return self.random.choice((b"", b"1", b"0\n", b"-1", b"4096\n", b"1 2 3", b"\0", b"99999999999999999999999",
                                   b" " * self.size(), b"1" * self.size(), os.urandom(min(self.size(), 4096)),
                                   b"18446744073692774399\n", b"268435456"))

    def some(self):
        if not self.files or (len(self.files) < 64 and self.random.random() < 0.2):
            flags = self.random.choice((os.O_RDONLY, os.O_WRONLY, os.O_RDWR))
            for flag in (os.O_TRUNC, os.O_APPEND, os.O_DIRECT, os.O_NOATIME, os.O_NONBLOCK, os.O_PATH, os.O_SYNC,
                         os.O_CREAT, os.O_DIRECTORY, os.O_TMPFILE):
                if self.random.random() < 0.06:
                    flags |= flag
            self.files.append(os.open(self.random.choice(FILES), flags, 0o600))
        if len(self.files) >= 64:
            for file in self.files[:32]:
                os.close(file)
            del self.files[:32]
        return self.random.choice(self.files)

    def map(self, file):
        flags = self.random.choice((mmap.MAP_PRIVATE, mmap.MAP_SHARED))
        mapped = mmap.mmap(file, 4096, flags, mmap.PROT_READ, offset=self.random.choice((0, 4096, 1 << 20)))
        pid = os.fork()
        if pid == 0:
            signal.alarm(5)
            mapped[0]
            os._exit(0)
        os.waitpid(pid, 0)
        mapped.close()

    def killed_readers(self, file):
        """They share the description, and are killed in the middle."""
        children = []
        for _ in range(4):
            pid = os.fork()
            if pid == 0:
                try:
                    while True:
                        os.pread(file, 65536, 0)
                        os.pread(file, 3, 200)
                except OSError:
                    os._exit(0)
            children.append(pid)
        time.sleep(self.random.random() * 0.02)
        for pid in children:
            os.kill(pid, signal.SIGKILL)
        for pid in children:
            os.waitpid(pid, 0)

    def other_namespace(self, _):
        pid = os.fork()
        if pid == 0:
            if libc.unshare(0x08000000) != 0:  # CLONE_NEWIPC
                os._exit(1)
            try:
                for path in FILES:
                    read_whole(path)
            except OSError:
                pass
            os._exit(0)
        os.waitpid(pid, 0)

    def closed_in_the_middle(self, file):
        """Of a copy that nobody else has."""
        copy = os.open(f"/proc/self/fd/{file}", os.O_RDONLY)
        os.read(copy, 10)
        os.close(copy)

    def step(self):
        file = self.some()
        act = self.random.choice((
            lambda: os.read(file, self.size()),
            lambda: os.pread(file, self.size(), self.offset()),
            lambda: os.write(file, self.bytes()),
            lambda: os.pwrite(file, self.bytes(), self.offset()),
            lambda: os.writev(file, [self.bytes() for _ in range(3)]),
            lambda: os.lseek(file, self.offset(), self.random.choice((0, 1, 2, 3, 4))),
            lambda: os.ftruncate(file, self.offset()),
            lambda: os.truncate(self.random.choice(FILES), self.offset()),
            lambda: os.fsync(file),
            lambda: os.fstat(file),
            lambda: os.stat(self.random.choice(FILES)),
            lambda: os.utime(file, (1, 1)),
            lambda: os.chmod(self.random.choice(FILES), 0o777),
            lambda: os.chown(self.random.choice(FILES), 1, 1),
            lambda: os.access(self.random.choice(FILES), self.random.randrange(8)),
            lambda: os.listxattr(self.random.choice(FILES)),
            lambda: os.setxattr(self.random.choice(FILES), "user.x", b"1"),
            lambda: os.getxattr(self.random.choice(FILES), "security.capability"),
            lambda: os.posix_fallocate(file, 0, self.size() + 1),
            lambda: os.copy_file_range(file, self.some(), self.size()),
            lambda: os.sendfile(self.some(), file, 0, self.size()),
            lambda: os.posix_fadvise(file, 0, 0, self.random.randrange(6)),
            lambda: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB),
            lambda: fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB),
            lambda: fcntl.ioctl(file, self.random.getrandbits(32), bytes(256)),
            lambda: os.rename(self.random.choice(FILES), TABLE + "x"),
            lambda: os.unlink(self.random.choice(FILES)),
            lambda: os.open(self.random.choice(FILES) + "/x", os.O_RDONLY),
            lambda: self.map(file),
            lambda: self.killed_readers(file),
            lambda: self.other_namespace(file),
            lambda: self.closed_in_the_middle(file),
        ))
        act()

    def run(self, seconds):
        done = 0
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            try:
                self.step()
            except (OSError, ValueError, OverflowError) as error:
                number = getattr(error, "errno", None)
                if number in (errno.ENOTCONN, errno.ECONNABORTED, errno.ENOSYS) and isinstance(error, OSError):
                    # ENOSYS is what the kernel says of operations that these files do not have.
                    if number != errno.ENOSYS:
                        raise SystemExit(f"nobody serves any more: {error}")
            done += 1
        for file in self.files:
            os.close(file)
        return done


def fuzz(seed, seconds):
    for path in FILES:
        read_whole(path)
    threads, size = status("Threads"), resident()
    workers = []
    for number in range(3):
        pid = os.fork()
        if pid == 0:
            done = Fuzzer(seed * 100 + number).run(seconds)
            os._exit(0 if done > 20 else 1)
        workers.append(pid)
    # Meanwhile somebody else reads.
    worst = 0.0
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        begin = time.monotonic()
        os.stat(TABLE)
        read_whole(SYSCTLS[2])
        worst = max(worst, time.monotonic() - begin)
        time.sleep(0.005)
    for pid in workers:
        assert os.waitpid(pid, 0)[1] == 0, "a fuzzer failed"
    assert worst < 2, f"another reader waited for {worst:.2f} s"
    for path in SYSCTLS:
        int(read_whole(path))
    assert read_whole().startswith(b"       key")
    # Threads and memory come back, when those in flight have ended.
    for _ in range(100):
        if status("Threads") <= threads + 4 and resident() < size + 12 * MIB:
            return
        time.sleep(0.1)
    raise SystemExit(f"threads {threads}, then {status('Threads')}; bytes {size}, then {resident()}")


if sys.argv[1] == "memory":
    memory()
elif sys.argv[1] == "no-memory":
    no_memory()
else:
    fuzz(int(sys.argv[2]), float(sys.argv[3]))
