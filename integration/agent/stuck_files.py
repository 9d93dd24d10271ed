#!/usr/bin/env python3
"""stuck_files.py: a process that may write to the agent's socket sends files that nobody can close: they are in an
epoll(7) of a process that waits for a page of its memory, which does not come. One file is no listener, others are too
many, and two are the listeners of a container that ends and of a container that outlives the agent. The agent serves
other containers and ends as if nothing were the matter."""
import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import struct
import sys
import time

import agent as lib
from agent import connect, contained, expect, fail, message, send, wait_until

SYS_EPOLL_WAIT, SYS_USERFAULTFD, UFFDIO_API, UFFDIO_REGISTER = 232, 323, 0xC018AA3F, 0xC020AA00
PR_SET_PDEATHSIG = 1
SOON_SECONDS = 20
folder = sys.argv[1]


def wait_in_epoll(epoll):
    """Ends, where it cannot."""
    faults = lib.libc.syscall(SYS_USERFAULTFD, os.O_CLOEXEC)
    if faults < 0:
        os._exit(77)
    lib.libc.mmap.restype = ctypes.c_void_p
    page = lib.libc.mmap(None, 4096, 3, 0x22, -1, 0)
    try:
        fcntl.ioctl(faults, UFFDIO_API, struct.pack("QQQ", 0xAA, 0, 0))
        fcntl.ioctl(faults, UFFDIO_REGISTER, struct.pack("QQQQ", page, 4096, 1, 0))
    except OSError:
        os._exit(77)
    lib.libc.epoll_wait(epoll, ctypes.c_void_p(page), 1, -1)
    os._exit(0)


class StuckEpoll:
    """Not stuck before stick(). Files in it belong to whoever has them else."""

    def __init__(self):
        self.epoll = select.epoll()
        self.epoll.register(os.eventfd(1), select.EPOLLIN)
        self.waiter = None

    def stick(self):
        self.waiter = os.fork()
        if self.waiter == 0:
            lib.libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            os.closerange(3, self.epoll.fileno())
            os.closerange(self.epoll.fileno() + 1, 1024)
            wait_in_epoll(self.epoll.fileno())
        wait_until("the epoll is stuck", self.sticks)

    def sticks(self):
        if os.waitpid(self.waiter, os.WNOHANG) != (0, 0):
            print("not tried: userfaultfd(2) is not allowed")
            sys.exit(77)
        with open(f"/proc/{self.waiter}/syscall", encoding="ascii") as file:
            return file.read().split()[0] == str(SYS_EPOLL_WAIT)

    def end(self):
        os.kill(self.waiter, signal.SIGKILL)
        os.waitpid(self.waiter, 0)


def stuck_closes():
    """Processes that close files for an agent, and cannot."""
    found = 0
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/status", encoding="ascii") as status:
                text = status.read()
        except OSError:
            continue
        found += text.startswith("Name:\tshmvisor-close\n") and text.split("State:\t")[1][0] == "D"
    return found


def server_of(agent):
    with open(f"/proc/{agent.process.pid}/task/{agent.process.pid}/children", encoding="ascii") as children:
        for pid in children.read().split():
            with open(f"/proc/{pid}/comm", encoding="ascii") as name:
                if name.read().strip() == "shmvisor-server":
                    return int(pid)
    return agent.process.pid


def quickly(what, act):
    begin = time.monotonic()
    result = act()
    if time.monotonic() - begin > SOON_SECONDS:
        fail(f"{what} took {time.monotonic() - begin:.1f} s")
    return result


def attack(options, name):
    agent = lib.Agent(folder, ["--socket", f"{folder}/agent.sock", *options], log=f"{name}.log").wait_for_socket()
    stuck = StuckEpoll()
    bystander = contained(agent.path, container="bystander")
    expect("a container before all", 0, bystander.call())

    def sender_of(name):
        def sender(listener):
            stuck.epoll.register(listener, select.EPOLLIN)
            with connect(agent.path) as connection:
                send(connection, json.dumps(message(container=name)).encode(), [listener])

        return sender

    container = lib.Contained(sender_of("ends"))
    expect("a container whose listener is watched", 0, container.call())
    living = lib.Contained(sender_of("lives"))
    expect("another one", 0, living.call())
    files = [os.eventfd(0) for _ in range(8)]
    for file in files:
        stuck.epoll.register(file, 0)
    stuck.stick()
    # While the agent is stopped, so that ours are not the last.
    server = server_of(agent)
    os.kill(server, signal.SIGSTOP)
    text = json.dumps(message(container="none")).encode()
    connections = [connect(agent.path) for _ in range(3)]
    send(connections[0], text, files[:1])
    send(connections[1], text, files[1:3])
    send(connections[2], text, files[3:])
    for file in files:
        os.close(file)
    container.end()
    os.kill(server, signal.SIGCONT)
    wait_until("all of them are refused", lambda: agent.log().count("refused a message") == 3)
    wait_until("closes are stuck", lambda: stuck_closes() > 0)
    for _ in range(3):
        fresh = quickly("a new container", lambda: contained(agent.path, container="fresh"))
        expect("a new container", 0, quickly("its call", fresh.call))
        fresh.end()
    expect("the container that was there", 0, quickly("its call", bystander.call))
    if stuck_closes() == 0:
        fail("nothing was stuck")
    for connection in connections:
        connection.close()
    expect("status", 0, quickly("the end", agent.stop))
    expect("a call that nobody serves", errno.ENOSYS, quickly("it", bystander.call))
    bystander.end()
    living.end()
    stuck.end()
    wait_until("nothing is left", lambda: stuck_closes() == 0)


attack([], "alone")
attack(["--keeper"], "kept")
