"""visitor.py SOCKET: connects and does what no shmvisor does. Prints what came of each attempt."""

import array
import ctypes
import os
import select
import socket
import struct
import sys

BOUND_SECONDS = 20
REQUEST_BYTES = 24  # words, pid, wait kind
WORDS = b"shmvisor joins1\0"


def connect():
    visitor = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    visitor.settimeout(BOUND_SECONDS)
    visitor.connect(sys.argv[1])
    return visitor


def outcome(visitor):
    """What the server says behind its greeting."""
    try:
        visitor.recv(4096)
        answer = visitor.recv(4096)
    except OSError as error:
        return type(error).__name__
    if not answer:
        return "closed"
    return "accepted" if answer[0] else answer[1:].rstrip(b"\0").decode().split(":")[0]


def attempt(name, data, *descriptors):
    visitor = connect()
    beside = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    visitor.sendmsg([data], beside)
    print(f"{name}: {outcome(visitor)}", flush=True)


def listener_of_nothing():
    """A real listener: of a filter on a thread of ours that allows everything."""
    allow = ctypes.create_string_buffer(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000))  # BPF_RET
    program = struct.pack("=HxxxxxxQ", 1, ctypes.addressof(allow))
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    return libc.syscall(317, 1, 8, program)  # seccomp(SECCOMP_SET_MODE_FILTER, NEW_LISTENER)


def pipe_named_dev_fuse():
    """A FIFO that /proc/PID/fd shows as /dev/fuse to everybody, as long as the other end is open."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        libc.unshare(0x00020000)  # CLONE_NEWNS
        libc.mount(None, b"/", None, 0x44000, None)  # MS_REC | MS_PRIVATE
        libc.mount(b"tmpfs", b"/dev", b"tmpfs", 0, None)
        os.mkfifo("/dev/fuse")
        socket.send_fds(theirs, [b"x"], [os.open("/dev/fuse", os.O_RDWR)])
        theirs.recv(1)
        os._exit(0)
    theirs.close()
    pipe = socket.recv_fds(ours, 1, 1)[1][0]
    if os.readlink(f"/proc/self/fd/{pipe}") != "/dev/fuse":
        sys.exit("not shown as /dev/fuse")
    return pipe, ours


libc = ctypes.CDLL(None)
null = os.open("/dev/null", os.O_RDWR)
request = (WORDS + struct.pack("=iB", os.getpid(), 1)).ljust(REQUEST_BYTES, b"\0")
attempt("garbage", os.urandom(REQUEST_BYTES))
attempt("half a message", request[:7], null)
attempt("a long message", request + bytes(100000), null)
attempt("an empty message", b"")
attempt("no descriptor", request)
attempt("another file", request, null)
pipe, keeper = pipe_named_dev_fuse()
attempt("a pipe named /dev/fuse", request, listener_of_nothing(), pipe)
keeper.close()
attempt("too many descriptors", request, null, null, null, null, null)
attempt("another version", b"shmvisor joins9\0" + request[16:], null)

# The end of a connection in every state.
connect().close()
silent = [connect() for _ in range(40)]
ready, _, _ = select.select([silent[0]], [], [], BOUND_SECONDS)
print("silent visitors: greeted" if ready else "silent visitors: kept waiting")
for visitor in silent:
    visitor.close()
