"""many_uids.py SOCKET COUNT: one user who has COUNT uids, as /etc/subuid gives them to a user namespace of its own, lets
a process of each join. Begins as root. Prints how many may, and stays until its input ends."""

import ctypes
import os
import socket
import sys

import crowd

USER, FIRST_UID = 65534, 200000
CLONE_NEWUSER = 0x10000000


def join(path, report):
    visitor = crowd.ask(path, crowd.listener())
    visitor.recv(100)  # the greeting
    answer = visitor.recv(1000)
    os.write(report, b"y" if answer and answer[0] == 1 else b"n")
    sys.stdin.read()  # until all end


def be_many(path, count, mapped, report):
    os.setgroups([])
    os.setresgid(USER, USER, USER)
    os.setresuid(USER, USER, USER)
    if ctypes.CDLL(None).unshare(CLONE_NEWUSER) != 0:
        sys.exit(77)
    os.write(report, b"u")
    os.read(mapped, 1)
    for uid in range(count):
        if os.fork() == 0:
            os.setresuid(uid, uid, uid)
            try:
                join(path, report)
            except OSError:
                os.write(report, b"n")
            os._exit(0)


def main():
    path, count = sys.argv[1], int(sys.argv[2])
    told, report = os.pipe()
    mapped, tell_mapped = os.pipe()
    child = os.fork()
    if child == 0:
        be_many(path, count, mapped, report)
        os._exit(0)
    if os.read(told, 1) != b"u":
        sys.exit("no user namespace")
    with open(f"/proc/{child}/uid_map", "w") as uids:
        uids.write(f"0 {FIRST_UID} {count}\n")
    os.write(tell_mapped, b"m")
    answers = b""
    while len(answers) < count:
        answers += os.read(told, count)
    print(answers.count(b"y"), flush=True)
    sys.stdin.read()


main()
