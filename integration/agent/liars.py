#!/usr/bin/env python3
"""liars.py: messages that are as they should be, and say what is not so; runtimes and containers that end at any
moment; more peers than the agent has room for; and its end with a hundred calls in flight."""
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys

import agent as lib
from agent import connect, contained, expect, fail, libc, message, send, wait_until

folder = sys.argv[1]
ENOENT, ENOSYS = 2, 38
CROWD, SILENT = 100, 1000


def heading(text):
    print(f"== {text}", flush=True)


resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
agent = lib.Agent(folder).wait_for_socket()
first = contained(agent.path, container="first")
expect("a container before all", 0, first.call())
first.end()
wait_until("it is forgotten", lambda: not any("seccomp" in kind for kind in agent.descriptors()))
at_rest = agent.descriptors()
bystander = contained(agent.path, container="bystander")
expect("a container beside all", 0, bystander.call())

heading("a pid that is another's, or nobody's")
dead = subprocess.Popen(["true"])
dead.wait()
lies = {
    "init's": 1,
    "the agent's": agent.process.pid,
    "another container's": bystander.pid,
    "a dead process's": dead.pid,
    "nobody's": 2**31 - 1,
    "not told": 0,
}
for name, pid in lies.items():
    liar = contained(agent.path, container="liar", pid=pid)
    expect(f"a call of who says a pid that is {name}", 0, liar.call())
    expect("a call of the container beside it", 0, bystander.call())
    liar.end()

heading("one listener as two containers")


def send_twice(listener):
    for container in ("one", "other"):
        with connect(agent.path) as connection:
            send(connection, json.dumps(message(container=container)).encode(), [listener])


twice = lib.Contained(send_twice)
expect("its call", 0, twice.call())
expect("a call of the container beside it", 0, bystander.call())
twice.end()

heading("the first process of a container ends before another of it")
init = contained(agent.path, container="outlived")
expect("its call", 0, init.call())
outliving = contained(agent.path, container="outlived")
init.end()
expect("a call of the other", 0, outliving.call())
outliving.end()

heading("killed at every step")
whole = json.dumps(message(container="killed")).encode()


def killed_after(step):
    """A process that is killed where `step` waits for that."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        step(lib.install_filter())
        os.write(writer, b"x")
        while True:
            signal.pause()
    os.close(writer)
    expect("a step", b"x", os.read(reader, 1))
    os.close(reader)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


kept = []  # of the processes that are killed; here they stay empty


def with_connection(*parts):
    def step(listener):
        connection = connect(agent.path)
        kept.append(connection)
        for part in parts:
            send(connection, part, [listener] if part == parts[0] else [])

    return step


def call_too(listener):
    with_connection(whole)(listener)
    os.close(listener)
    libc.syscall(lib.SYS_SHMGET, 5, ctypes.c_size_t(4096), 0o1600)


killed_after(with_connection())
killed_after(with_connection(whole[:9]))
killed_after(with_connection(whole[:-1]))
killed_after(with_connection(whole))
killed_after(with_connection(whole[:50], whole[50:]))
killed_after(call_too)
expect("the container beside it", 0, bystander.call())
wait_until("two half messages are told", lambda: len(agent.log().splitlines()) >= 2)
expect("lines in the log", ["it ends in the middle"] * 2,
       [line.partition("refused a message: ")[2] for line in agent.log().splitlines()])

heading(f"{SILENT} connections that say nothing")
silent = [connect(agent.path) for _ in range(SILENT)]
fresh = contained(agent.path, container="fresh")
expect("a container that comes", 0, fresh.call())
if "it was not complete when too many others came" not in agent.log():
    fail("the oldest did not give way")
expect("the oldest sees the end", b"", silent[0].recv(1))
fresh.end()
for connection in silent:
    connection.close()
expect("the container that was there all the time", 0, bystander.call())
bystander.end()
wait_until("nothing is left", lambda: agent.descriptors() == at_rest)
expect("status", 0, agent.stop())

heading("SIGTERM, twice, while a hundred containers call")
agent = lib.Agent(folder, log="busy.log").wait_for_socket()


def call_until_unserved(number, writer):
    with connect(agent.path) as connection:
        listener = lib.install_filter()
        send(connection, json.dumps(message(container=f"busy-{number}")).encode(), [listener])
        os.close(listener)
    told = False
    while True:
        libc.syscall(lib.SYS_SHMGET, 5, ctypes.c_size_t(0), 0)
        error = ctypes.get_errno()
        if error == ENOSYS:
            return 0
        if error != ENOENT:
            return 1
        if not told:
            told = os.write(writer, b"x") == 1


reader, writer = os.pipe()
crowd = []
for number in range(CROWD):
    pid = os.fork()
    if pid == 0:
        os._exit(call_until_unserved(number, writer))
    crowd.append(pid)
os.close(writer)
served = 0
while served < CROWD:
    served += len(os.read(reader, CROWD)) or fail("a container is not served")
agent.process.send_signal(signal.SIGTERM)
agent.process.send_signal(signal.SIGTERM)
expect("status", 0, agent.wait())
expect("status of each", [0] * CROWD, [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in crowd])
expect("log", f"{CROWD} containers lose service: their shared memory calls fail with ENOSYS\n",
       agent.log().partition("warning: ")[2])
