"""/proc/sysvipc/shm: its bytes, how it is read in pieces, and as whom."""
import struct

from transcript import *

SHM_LOCK, SHM_RDONLY, IPC_SET, SHM_REMAP = 11, 0o10000, 1, 0o40000
LINE = "%10d %10d  %4o %21d %5d %5d  %5d %5d %5d %5d %5d %10d %10d %10d %21d %21d\n"
KEY, ID, MODE, SIZE, CPID, LPID, NATTCH, UID, GID, CUID, CGID, ATIME, DTIME, CTIME, RSS, SWAP = range(16)


def lines_of(text):
    """Each line's fields; fails unless the line is what printf makes of them."""
    rows = []
    for line in text.decode().splitlines(True)[1:]:
        words = line.split()
        fields = [int(word, 8 if place == MODE else 10) for place, word in enumerate(words)]
        if LINE % tuple(fields) != line:
            raise SystemExit("not the kernel's format: %r" % line)
        rows.append(fields)
    return rows


def whole():
    with open(TABLE, "rb") as file:
        return file.read()


def show(what, pids):
    """The rows, with times as relations and pids by the names that `pids` gives."""
    print(what)
    for row in lines_of(whole()):
        times = ["zero" if row[field] == 0 else "set" for field in (ATIME, DTIME, CTIME)]
        names = [pids.get(row[field], "somebody") for field in (CPID, LPID)]
        print("", row[KEY], row[ID], oct(row[MODE]), row[SIZE], *names, row[NATTCH:ATIME], *times, row[RSS],
              row[SWAP])


def set_owner(shmid, uid, gid, mode):
    buffer = bytearray(112)
    struct.pack_into("iIIIII", buffer, 0, 0, uid, gid, 0, 0, mode)
    return call(libc.shmctl, shmid, IPC_SET, (ctypes.c_char * 112).from_buffer(buffer))


def touch(address, pages):
    for page in range(pages):
        ctypes.memset(address + page * 4096, 1, 1)


def fields():
    pids = {0: "nobody", os.getpid(): "me"}
    print(repr(whole()))
    plain = libc.shmget(0x1234, 5000, IPC_CREAT | 0o640)
    private = libc.shmget(IPC_PRIVATE, 1, 0o777)
    negative = libc.shmget(ctypes.c_int(0xfffffffe).value, 1 << 20, IPC_CREAT)
    large = libc.shmget(77, 1 << 40, IPC_CREAT | 0o600 | 0o10000)
    show("made", pids)
    first, second = libc.shmat(plain, None, 0), libc.shmat(plain, None, SHM_RDONLY)
    third = libc.shmat(negative, None, 0)
    touch(first, 2)
    touch(third, 5)
    show("attached and touched", pids)
    libc.shmctl(plain, SHM_LOCK, None)
    libc.shmctl(negative, IPC_RMID, None)
    print(set_owner(private, 1000, 1001, 0o604))
    show("locked, removed, given away", pids)
    libc.shmdt(second)
    libc.shmdt(third)
    libc.shmctl(large, IPC_RMID, None)
    show("detached", pids)
    libc.shmdt(first)

    def other():
        become(1000)
        made = libc.shmget(IPC_PRIVATE, 100, 0o600)
        address = libc.shmat(made, None, 0)
        show("attached by an ordinary user", {**pids, os.getpid(): "I"})
        libc.shmdt(address)

    in_child(other)
    show("when that has ended", pids)


def pieces():
    made = [libc.shmget(1000 + number, 4096, IPC_CREAT | 0o600) for number in range(60)]
    for shmid in made[7:40:3]:
        libc.shmctl(shmid, IPC_RMID, None)
    stable = whole()
    first = stable.index(b"\n") + 1
    print("rows", len(lines_of(stable)), "heading", first)
    for size in (1, 100, first - 1, first, first + 1, 400, 4095, 4096, 4097, 8192, 100000, 1 << 21):
        file = os.open(TABLE, os.O_RDONLY)
        parts = []
        while True:
            parts.append(os.read(file, size))
            if not parts[-1]:
                break
        print("in pieces of", size, len(parts), [len(part) for part in parts][:40], b"".join(parts) == stable)
        print("at the end", os.read(file, 10), "and again", os.pread(file, 30, 0))
        os.close(file)
    file = os.open(TABLE, os.O_RDONLY)
    for offset, size in ((0, 50), (50, 50), (first - 1, 1), (first, 5), (3000, 5000), (4095, 10), (len(stable) - 1, 9),
                         (len(stable), 9), (1 << 40, 9), (10, 10)):
        text = os.pread(file, size, offset)
        print("at", offset, len(text), stable[offset:offset + len(text)] == text)
    print(os.lseek(file, 500, os.SEEK_SET), os.read(file, 100) == stable[500:600],
          os.lseek(file, -50, os.SEEK_CUR), os.read(file, 100) == stable[550:650])
    print([attempt(os.lseek, file, place, whence) for place, whence in ((-1, 0), (1 << 40, 0), (0, 0))])
    os.close(file)

    file = os.open(TABLE, os.O_RDONLY)
    heading_alone = os.read(file, first)
    one_more = libc.shmget(5, 1, IPC_CREAT | 0o600)
    rest = b"".join(iter(lambda: os.read(file, 4096), b""))
    print("made after the heading was read", one_more in [row[ID] for row in lines_of(heading_alone + rest)])
    os.lseek(file, 0, os.SEEK_SET)
    libc.shmctl(one_more, IPC_RMID, None)
    again = b"".join(iter(lambda: os.read(file, 4096), b""))
    print("removed before it is read anew", one_more in [row[ID] for row in lines_of(again)])
    print("readv", [bytes(part)[-3:] for part in (lambda parts: (os.preadv(file, parts, 0), parts)[1])(
        [bytearray(3), bytearray(170), bytearray(5), bytearray(20)])])
    os.close(file)


def file_itself():
    status = os.stat(TABLE)
    print(oct(status.st_mode), status.st_uid, status.st_gid, status.st_size, status.st_nlink, status.st_blksize)
    print([os.access(TABLE, mode) for mode in (os.R_OK, os.W_OK, os.X_OK)])
    for flag in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND,
                 os.O_RDONLY | os.O_DIRECT):
        file = attempt(os.open, TABLE, flag)
        if isinstance(file, int):
            print("write", attempt(os.write, file, b"1"), "read", repr(attempt(os.read, file, 10)))
            os.close(file)
        else:
            print(file)
    print("fsync", attempt(lambda: os.fsync(os.open(TABLE, os.O_RDONLY))))

    def other():
        become(1000)
        print([os.access(TABLE, mode) for mode in (os.R_OK, os.W_OK)], attempt(os.open, TABLE, os.O_WRONLY),
              attempt(os.chmod, TABLE, 0o644), attempt(os.truncate, TABLE, 0), attempt(os.utime, TABLE))

    in_child(other)


def viewpoints():
    """Ids and pids are those of the namespaces of who opened the file."""
    shmid = libc.shmget(9, 10, IPC_CREAT | 0o600)
    set_owner(shmid, 1000, 2000, 0o600)
    mine = os.getpid()
    before = os.open(TABLE, os.O_RDONLY)

    def in_user_namespace():
        print("unshare", call(libc.unshare, CLONE_NEWUSER))
        names = {0: "nobody", mine: "the creator"}
        show("unmapped", names)
        for name, text in (("setgroups", "deny"), ("uid_map", "7 0 1"), ("gid_map", "8 0 1")):
            with open("/proc/self/" + name, "w") as file:
                file.write(text)
        show("root is 7 and 8", names)
        print("opened outside", lines_of(os.pread(before, 4096, 0))[0][UID:ATIME])
        inside = os.open(TABLE, os.O_RDONLY)
        os.dup2(inside, 200)

    def in_pid_namespace():
        print("unshare", call(libc.unshare, CLONE_NEWPID))

        def init():
            made = libc.shmget(IPC_PRIVATE, 1, 0o600)
            libc.shmdt(libc.shmat(made, None, 0))
            show("as its first process", {0: "nobody", 1: "the first"})
            print("opened outside", [row[CPID] == mine for row in lines_of(os.pread(before, 4096, 0))][:1])

        in_child(init)
        show("from outside", {0: "nobody", mine: "the creator"})

    in_child(in_user_namespace)
    in_child(in_pid_namespace)
    libc.shmctl(shmid, IPC_RMID, None)


def namespaces():
    """A new IPC namespace begins empty; a descriptor stays with the one it was opened in."""
    before = os.open(TABLE, os.O_RDONLY)
    old = os.open("/proc/self/ns/ipc", os.O_RDONLY)
    count = len(lines_of(whole()))
    print("unshare", call(libc.unshare, CLONE_NEWIPC), "rows", len(lines_of(whole())))
    libc.shmget(3, 333, IPC_CREAT | 0o600)
    print("rows", [row[SIZE] for row in lines_of(whole())],
          "in the old one", len(lines_of(b"".join(iter(lambda: os.read(before, 4096), b"")))) == count)
    print("back", call(libc.setns, old, CLONE_NEWIPC), len(lines_of(whole())) == count)


for name, part in (("fields", fields), ("pieces", pieces), ("the file itself", file_itself),
                   ("viewpoints", viewpoints), ("namespaces", namespaces)):
    heading(name)
    in_child(part)
    for row in lines_of(whole()):
        libc.shmctl(row[ID], IPC_RMID, None)
print("end")
