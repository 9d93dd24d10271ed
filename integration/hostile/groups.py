"""groups.py COMMAND...: runs it in a user namespace that maps ids 0, 2000, 2001 and 65534 alone, with groups that it
does not map.

groups.py inside: uid 65534 makes a segment of mode 0660, uid 2000 with these groups wants it."""
import ctypes
import errno
import os
import sys

libc = ctypes.CDLL(None, use_errno=True)
KEY, IPC_CREAT, CLONE_NEWUSER = 0x77, 0o1000, 0x10000000


def as_user(uid, function):
    come, go = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        os.write(go, function().encode())
        os._exit(0)
    os.waitpid(pid, 0)
    return os.read(come, 100).decode()


def shmget(flags):
    segment = libc.shmget(KEY, 4096 if flags & IPC_CREAT else 0, flags)
    return "yes" if segment >= 0 else errno.errorcode[ctypes.get_errno()]


def main():
    if sys.argv[1] == "inside":
        made = as_user(65534, lambda: shmget(IPC_CREAT | 0o660))
        print("made:", made + ", by a group that is not mapped:", as_user(2000, lambda: shmget(0o660)))
        libc.shmctl(libc.shmget(KEY, 0, 0), 0, None)
        return
    (begun, begins), (mapped, maps) = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        os.setgroups([5000, 5001])
        if libc.unshare(CLONE_NEWUSER) != 0:
            sys.exit("no user namespace")
        os.write(begins, b"x")
        os.read(mapped, 1)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        os.execvp(sys.argv[1], sys.argv[1:])
    os.read(begun, 1)
    for name in ("uid_map", "gid_map"):
        with open(f"/proc/{pid}/{name}", "w", encoding="ascii") as file:
            file.write("0 0 1\n2000 2000 2\n65534 65534 1\n")
    os.write(maps, b"x")
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


main()
