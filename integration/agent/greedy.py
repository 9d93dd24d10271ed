#!/usr/bin/env python3
"""greedy.py: a container that takes all the descriptors of the agent that it can get, and one that makes it look at a
great many of its own. The containers beside them are served, those that were there and those that come."""
import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time

import agent as lib
from agent import connect, contained, expect, fail, libc, message, send, shmget_error, wait_until

folder = sys.argv[1]
CLONE_NEWIPC = 0x08000000
ENOMEM = 12


def heading(text):
    print(f"== {text}", flush=True)


def greedy(path, container, act):
    """A container that does `act` before anything else."""

    def sender(listener):
        with connect(path) as connection:
            send(connection, json.dumps(message(container=container)).encode(), [listener])
        return act()

    return lib.Contained(sender)


def new_namespace():
    if libc.unshare(CLONE_NEWIPC) != 0:
        raise OSError(ctypes.get_errno(), "unshare")


def make_segments_without_end():
    """In one IPC namespace after the other, whose files it keeps."""
    kept = []
    refused = 0
    while refused < 3:
        error = shmget_error()
        refused += error != 0
        new_namespace()
        kept.append(os.open("/proc/self/ns/ipc", os.O_RDONLY))
        for _ in range(20):
            if error == 0:
                error = shmget_error()
    return kept


heading("descriptors of the agent's")
agent = lib.Agent(folder, prepare=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (400, 400))).wait_for_socket()
bystander = contained(agent.path, container="bystander")
expect("a container beside all", 0, bystander.call())
first, second = (greedy(agent.path, name, make_segments_without_end) for name in ("first", "second"))
expect("the greedy get no more", [ENOMEM, ENOMEM], [first.call(), second.call()])  # not even a namespace
for round_number in range(3):
    expect("the container that was there", 0, bystander.call())
    fresh = contained(agent.path, container=f"fresh-{round_number}")
    expect("a container that comes", 0, fresh.call())
    fresh.end()
lines = agent.log().splitlines()
expect("lines in the log, one for each of the greedy", 2, len(lines))
if not all("and gets no more, so that others do" in line for line in lines):
    fail(agent.log())
for process in (first, second, bystander):
    process.end()
late = contained(agent.path, container="late")
expect("a container when all have ended", 0, late.call())
late.end()
expect("status", 0, agent.stop())

heading("who serves one command alone lets it have all of them, and says once that they are gone")
loop = (
    "import ctypes\n"
    "libc = ctypes.CDLL(None)\n"
    "made = sum(libc.shmget(0, ctypes.c_size_t(4096), 0o600) >= 0 for _ in range(300))\n"
    "print(140 < made < 200)"
)
if os.environ.get("SHMVISOR_SANITIZED"):
    print("not compared: UBSan needs descriptors, to look at the types of objects")
else:
    ran = subprocess.run(
        [os.environ["SHMVISOR"], "run", "--", sys.executable, "-c", loop],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=lib.BOUND_SECONDS,
        check=True,
    )
    expect("whether it got them", "True\n", ran.stdout)
    expect("lines in the log", ["no new segment: out of file descriptors; raise the RLIMIT_NOFILE (ulimit -n) limit"],
           [line.partition("warning: ")[2] for line in ran.stderr.splitlines()])

heading("descriptors of the container's, which tell what namespaces it needs")
NAMESPACES, PROCESSES, DESCRIPTORS = 500, 60, 3000
PR_SET_PDEATHSIG = 1


def wait_for_parent():
    """A child that goes with its parent."""
    if os.fork() == 0:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        while True:
            signal.pause()


def hold_a_great_many():
    """Whoever looks for a namespace's file finds it behind everything else."""
    others = [os.open("/dev/null", os.O_RDONLY) for _ in range(DESCRIPTORS)]
    for _ in range(PROCESSES):
        wait_for_parent()
    kept = []
    for _ in range(NAMESPACES):
        new_namespace()
        kept.append(os.open("/proc/self/ns/ipc", os.O_RDONLY))
        expect("a segment", 0, shmget_error())
    wait_for_parent()
    for descriptor in others + kept:
        os.close(descriptor)


def allow_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, 8192))


allow_descriptors()
agent = lib.Agent(folder).wait_for_socket()
bystander = contained(agent.path, container="bystander")
tiresome = greedy(agent.path, "tiresome", hold_a_great_many)
for round_number in range(3):
    time.sleep(1.5)  # it looks once in a second
    expect("the container that was there", 0, bystander.call())
    fresh = contained(agent.path, container=f"fresh-{round_number}")
    expect("a container that comes", 0, fresh.call())
    fresh.end()
expect("the tiresome one itself", 0, tiresome.call())
for process in (tiresome, bystander):
    process.end()


def serves_nobody():
    place = f"/proc/{agent.process.pid}/fd"
    with contextlib.suppress(FileNotFoundError):  # closed meanwhile
        return not any("seccomp" in os.readlink(f"{place}/{entry}") for entry in os.listdir(place))
    return False


wait_until("the processes that it left end", serves_nobody)
expect("status", 0, agent.stop())
expect("log", "", agent.log())
