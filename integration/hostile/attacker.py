"""attacker.py KEY STEP...: one process that does what its steps say, one after the other.

victim TEXT FILE  makes the segment KEY with mode 0600, puts TEXT into it, says "ready", waits for
                  FILE, and says what the segment holds and whether it still is there
join SOCKET       joins a run, under a filter of its own that shows the four calls and nothing else
join-killable SOCKET    the same, under a filter whose waits signals do not end
forge             answers its own calls behind the server's back
create            makes a segment and removes it
contained SOCKET GROUP  the same, as a container of that group of an agent's
become            becomes user 65534
user              makes a user namespace in which it is root
ipc               makes an IPC namespace
look              does what needs no right, so that whoever serves may remember this process
attack            tries whatever it has no right to; says what came of each attempt
say WORD          prints it
wait FILE         until it is there
limit FILE        tries to set the limit; says what came of it"""

import array
import ctypes
import errno
import json
import os
import socket
import struct
import sys
import threading
import time

IPC_CREAT, IPC_RMID, IPC_SET, IPC_STAT, SHM_RDONLY = 0o1000, 0, 1, 2, 0o10000
SHM_LOCK, SHM_UNLOCK, SHM_STAT, SHM_INFO = 11, 12, 13, 14
CLONE_NEWUSER, CLONE_NEWIPC = 0x10000000, 0x08000000
SYS_SECCOMP, SYS_UNSHARE = 317, 272
BOUND_SECONDS = 150
NOTIF_RECV, NOTIF_SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_...

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
libc.shmdt.argtypes = [ctypes.c_void_p]


def say(*words):
    print(*words, flush=True)


def outcome(result):
    failed = result in (-1, ctypes.c_void_p(-1).value)
    return errno.errorcode[ctypes.get_errno()] if failed else "succeeds"


def checked(result, what):
    if outcome(result) != "succeeds":
        sys.exit(f"{what}: {outcome(result)}")
    return result


NEW_LISTENER, WAIT_KILLABLE_RECV = 8, 32  # SECCOMP_FILTER_FLAG_...


def filter_listener(flags=NEW_LISTENER):
    """Of a filter that shows shmget, shmat, shmctl and shmdt, and neither unshare nor setns."""
    calls = (29, 30, 31, 67)
    program = struct.pack("=HBBI", 0x20, 0, 0, 0)  # the number
    for place, call in enumerate(calls):
        program += struct.pack("=HBBI", 0x15, len(calls) - place, 0, call)
    program += struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)  # SECCOMP_RET_ALLOW
    program += struct.pack("=HBBI", 0x06, 0, 0, 0x7FC00000)  # SECCOMP_RET_USER_NOTIF
    code = ctypes.create_string_buffer(program)
    head = struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    return checked(libc.syscall(SYS_SECCOMP, 1, flags, head), "seccomp")


def send_with(connection, data, *descriptors):
    connection.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))])


def join(path, flags=NEW_LISTENER):
    """Keeps the listener as well as the connection."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.settimeout(BOUND_SECONDS)
    connection.connect(path)
    connection.recv(4096)
    listener = filter_listener(flags)
    send_with(connection, b"shmvisor joins3\0" + bytes(8), listener)
    answer = connection.recv(4096)
    if not answer or not answer[0]:
        sys.exit("not taken in: " + repr(answer))
    return connection, listener


def forge_answers(listener):
    """Answers its own calls that the server has received, as if a signal had ended them."""
    first = ctypes.create_string_buffer(80)
    threading.Thread(target=lambda: libc.shmget(1, 0, 0), daemon=True).start()
    checked(libc.ioctl(listener, NOTIF_RECV, first), "NOTIF_RECV")
    number = struct.unpack_from("=Q", first)[0]

    def forge():
        following = number
        while True:
            for ahead in range(8):  # numbers follow one another
                answer = struct.pack("=QqiI", following + ahead, 0, -512, 0)
                if libc.ioctl(listener, NOTIF_SEND, answer) == 0:
                    following += ahead
                    break

    threading.Thread(target=forge, daemon=True).start()


def ask_runtime(runtime, path, group):
    """A container's process: its runtime, which is root, sends the listener to the agent."""
    listener = filter_listener()
    send_with(runtime, json.dumps([path, group]).encode(), listener)
    os.close(listener)
    runtime.recv(1)


def be_runtime():
    """Goes on as a child, and is its container runtime until that ends."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        ours.close()
        return theirs
    theirs.close()
    data, descriptors, _, _ = socket.recv_fds(ours, 4096, 1)
    if data:
        path, group = json.loads(data)
        message = {"ociVersion": "1.0.2", "fds": ["seccompFd"], "pid": pid, "metadata": "group=" + group,
                   "state": {"ociVersion": "1.0.2", "id": f"container-{pid}", "status": "creating",
                             "pid": pid, "bundle": "/"}}
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.connect(path)
        send_with(connection, json.dumps(message).encode(), descriptors[0])
        os.close(descriptors[0])
        ours.send(b"x")
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def become_root():
    uid, gid = os.geteuid(), os.getegid()
    checked(libc.syscall(SYS_UNSHARE, CLONE_NEWUSER), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open("/proc/self/" + name, "w", encoding="utf-8") as file:
            file.write(text)


def attack(key):
    ds = ctypes.create_string_buffer(112)  # struct shmid64_ds
    segment = checked(libc.shmget(key, 0, 0), "shmget")
    say("shmget for reading:", outcome(libc.shmget(key, 0, 0o400)))
    say("IPC_STAT:", outcome(libc.shmctl(segment, IPC_STAT, ds)))
    say("SHM_LOCK:", outcome(libc.shmctl(segment, SHM_LOCK, None)))
    say("SHM_UNLOCK:", outcome(libc.shmctl(segment, SHM_UNLOCK, None)))
    say("IPC_SET:", outcome(libc.shmctl(segment, IPC_SET, ds)))
    for name, flags in (("reading", SHM_RDONLY), ("writing", 0)):
        address = libc.shmat(segment, None, flags)
        say(f"shmat for {name}:", outcome(address))
        if flags == 0 and outcome(address) == "succeeds":
            ctypes.memmove(address, b"stolen\0", 7)
    say("IPC_RMID:", outcome(libc.shmctl(segment, IPC_RMID, None)))


def wait_for(path):
    deadline = time.monotonic() + BOUND_SECONDS
    while not os.path.exists(path) and time.monotonic() < deadline:
        time.sleep(0.02)


def victim(key, text, over):
    segment = checked(libc.shmget(key, 4096, IPC_CREAT | 0o600), "shmget")
    address = checked(libc.shmat(segment, None, 0), "shmat")
    ctypes.memmove(address, text.encode() + b"\0", len(text) + 1)
    say("ready")
    wait_for(over)
    say("it holds:", ctypes.string_at(address).decode())
    say("it is there:", outcome(libc.shmget(key, 0, 0)))


def main():
    key = int(sys.argv[1], 0)
    words = iter(sys.argv[2:])
    kept = []
    runtime = be_runtime() if "contained" in sys.argv else None
    for word in words:
        if word == "victim":
            victim(key, next(words), next(words))
        elif word == "join":
            kept.append(join(next(words)))
        elif word == "join-killable":
            kept.append(join(next(words), NEW_LISTENER | WAIT_KILLABLE_RECV))
        elif word == "forge":
            forge_answers(kept[-1][1])
        elif word == "create":
            segment = libc.shmget(0, 4096, IPC_CREAT | 0o600)
            say("create:", outcome(segment))
            libc.shmctl(segment, IPC_RMID, None)
        elif word == "contained":
            ask_runtime(runtime, next(words), next(words))
        elif word == "become":
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, as after an exec
        elif word == "user":
            become_root()
        elif word == "ipc":
            checked(libc.syscall(SYS_UNSHARE, CLONE_NEWIPC), "unshare")
        elif word == "say":
            say(next(words))
        elif word == "wait":
            wait_for(next(words))
        elif word == "look":
            libc.shmget(key, 0, 0)
        elif word == "attack":
            attack(key)
        elif word == "limit":
            try:
                with open(next(words), "w", encoding="utf-8") as file:
                    file.write("1")
                say("limit: set")
            except OSError as error:
                say("limit:", errno.errorcode[error.errno])
        else:
            sys.exit("what is " + word)


main()
