"""visitor.py SOCKET: connects and does what no shmvisor does. Prints what came of each attempt."""

import array
import ctypes
import os
import select
import socket
import struct
import sys

BOUND_SECONDS = 20
REQUEST_BYTES = 24  # words, how long callers wait for a tracer, whether it wants files in /proc
WORDS = b"shmvisor joins3\0"  # and an answer: accepted, what is missing, a reason


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
    return "accepted" if answer[0] else answer[12:].rstrip(b"\0").decode().split(":")[0]


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


libc = ctypes.CDLL(None)
null = os.open("/dev/null", os.O_RDWR)
request = WORDS + bytes(8)
attempt("garbage", os.urandom(REQUEST_BYTES))
attempt("half a message", request[:7], null)
attempt("a long message", request + bytes(100000), null)
attempt("an empty message", b"")
attempt("no descriptor", request)
attempt("another file", request, null)
listener = listener_of_nothing()
wants_files = WORDS + bytes(4) + b"\1" + bytes(3)
attempt("no user namespace", wants_files, listener)
attempt("another file as a user namespace", wants_files, listener, null)
attempt("another namespace", wants_files, listener, os.open("/proc/self/ns/net", os.O_RDONLY))
attempt("a FUSE connection of its own", request, listener, null)
attempt("too many descriptors", request, null, null, null, null, null)
attempt("another version", b"shmvisor joins9\0" + request[16:], null)

# The end of a connection in every state.
connect().close()
silent = [connect() for _ in range(40)]
ready, _, _ = select.select([silent[0]], [], [], BOUND_SECONDS)
print("silent visitors: greeted" if ready else "silent visitors: kept waiting")
for visitor in silent:
    visitor.close()
