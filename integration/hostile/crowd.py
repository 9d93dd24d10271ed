"""crowd.py SOCKET COUNT: many who join, or ask to, at the same time. Says
"ready" when all have asked, and stays."""

import array
import ctypes
import os
import socket
import struct
import sys
import time

libc = ctypes.CDLL(None, use_errno=True)


def listener():
    """Of a filter that shows one call that nobody makes, so that all of these can be of one process."""
    program = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)  # SECCOMP_RET_ALLOW
    code = ctypes.create_string_buffer(program)
    libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    return libc.syscall(317, 1, 8, struct.pack("=HxxxxxxQ", 1, ctypes.addressof(code)))


def ask(path, fd):
    visitor = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    visitor.settimeout(20)
    visitor.connect(path)
    visitor.sendmsg([b"shmvisor joins3\0" + bytes(8)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
    return visitor


def main():
    path = sys.argv[1]
    fd = listener()
    if fd < 0:
        sys.exit("no listener")
    kept = []
    for _ in range(int(sys.argv[2])):
        try:
            kept.append(ask(path, fd))
        except OSError as error:
            kept.append(error)
    print("ready", flush=True)
    time.sleep(80)


if __name__ == "__main__":
    main()
