#!/usr/bin/env python3
"""service.py: the agent as a service: sockets that it makes and that it is handed, what it tells the service manager,
and how it ends."""
import json
import os
import signal
import socket
import subprocess
import sys
import time

import agent as lib
from agent import BOUND_SECONDS, contained, expect, fail, wait_until

folder = sys.argv[1]


def heading(text):
    print(f"== {text}", flush=True)


def expect_failure(what, text, **arguments):
    agent = lib.Agent(folder, **arguments)
    expect(f"{what}: status", 125, agent.wait())
    if text not in agent.log():
        fail(f"{what}: wanted {text!r}, got {agent.log()!r}")


heading("a socket of its own")
first = lib.Agent(folder).wait_for_socket()
one, two = (contained(first.path, container=name) for name in ("one", "two"))
joined = contained(first.path, container="one")
expect("a call", [0, 0, 0], [process.call() for process in (one, two, joined)])
expect_failure("a second agent there", "another agent listens at", arguments=["--socket", first.path], log="second.log")

heading("it ends, and says who loses service")
agent = lib.Agent(folder, arguments=["--socket", f"{folder}/other.sock"], log="other.log")
wait_until("another socket", lambda: os.path.exists(f"{folder}/other.sock"))
three, four = (contained(f"{folder}/other.sock", container=name) for name in ("three", "four"))
expect("a call", [0, 0], [three.call(), four.call()])
three.end()
wait_until("a call of a container that stays", lambda: four.call() == 0)
again = contained(f"{folder}/other.sock", container="four")
expect("status", 0, agent.stop(signal.SIGINT))
expect("log", "1 container loses service: its shared memory calls fail with ENOSYS\n", agent.log().partition("warning: ")[2])
expect("its socket", False, os.path.exists(f"{folder}/other.sock"))
expect("calls afterwards", [38, 38], [four.call(), again.call()])  # ENOSYS
for process in (four, again):
    process.end()
for process in (one, two, joined):
    process.end()
expect("status of the first", 0, first.stop())
expect("log of the first, whose containers have ended", "", first.log())

heading("a socket that was left behind")
stale = f"{folder}/stale.sock"
with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
    left.bind(stale)
os.chmod(stale, 0o640)
agent = lib.Agent(folder, arguments=["--socket", stale])
wait_until("it is made anew", lambda: os.path.exists(stale) and os.stat(stale).st_mode & 0o777 == 0o600)
process = contained(stale)
expect("a call", 0, process.call())
process.end()
expect("status", 0, agent.stop())

heading("a socket whose place somebody else has taken")
replaced = lib.Agent(folder, arguments=["--socket", stale], log="replaced.log")
wait_until("a socket", lambda: os.path.exists(stale))
os.unlink(stale)
successor = lib.Agent(folder, arguments=["--socket", stale], log="successor.log")
wait_until("another", lambda: os.path.exists(stale))
expect("status", 0, replaced.stop())
process = contained(stale)
expect("a call", 0, process.call())
process.end()
expect("status", 0, successor.stop())
expect("the socket", False, os.path.exists(stale))

heading("several that find the socket of one that was killed")
agent = lib.Agent(folder, arguments=["--socket", stale])
wait_until("a socket", lambda: os.path.exists(stale))
agent.stop(signal.SIGKILL)
rivals = [lib.Agent(folder, arguments=["--socket", stale], log=f"rival{i}.log") for i in range(8)]
wait_until("one is left", lambda: sum(rival.ended() for rival in rivals) >= len(rivals) - 1)
left = [rival for rival in rivals if not rival.ended()]
expect("who serve", 1, len(left))
process = contained(stale)
expect("a call", 0, process.call())
process.end()
expect("status", 0, left[0].stop())

heading("a log that nobody reads any more")
log_end, its_end = os.pipe()
agent = lib.Agent(folder, arguments=["--socket", stale], prepare=lambda: os.dup2(its_end, 2))
os.close(its_end)
os.close(log_end)
wait_until("a socket", lambda: os.path.exists(stale))
with lib.connect(stale) as connection:
    lib.send(connection, b"what is refused with a line in the log")
    expect("it sees the end", b"", connection.recv(1))
process = contained(stale)
expect("a call", 0, process.call())
process.end()
expect("status", 0, agent.stop())

heading("places where no socket can be")
with open(f"{folder}/file", "w", encoding="utf-8"):
    pass
expect_failure("a file", "is there and is no socket", arguments=["--socket", f"{folder}/file"])
expect_failure("no folder", "No such file", arguments=["--socket", f"{folder}/no/socket"])
expect_failure("a long path", "File name too long", arguments=["--socket", "/" + "x" * 200])

heading("no path at all: where the profiles say")
# In the mount namespace of this script alone.
subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
profile = json.loads(subprocess.run([os.environ["SHMVISOR"], "oci-profile"], check=True, capture_output=True).stdout)
place = profile["listenerPath"]
agent = lib.Agent(folder, arguments=[])
wait_until("a socket at the profile's place", lambda: os.path.exists(place))
expect("modes", (0o700, 0o600), tuple(os.stat(one).st_mode & 0o777 for one in (os.path.dirname(place), place)))
process = contained(place)
expect("a call", 0, process.call())
process.end()
expect("status", 0, agent.stop())
expect("its socket", False, os.path.exists(place))
os.rmdir(os.path.dirname(place))
subprocess.run(["mount", "-o", "remount,ro", "/run"], check=True)
nowhere = "cannot make /run/shmvisor: Read-only file system; give --socket PATH"
expect_failure("a folder that cannot be made", nowhere, arguments=[])

heading("a socket that is handed over, and a service manager that listens")


def agent_with(sockets, address, pid="$$"):
    """sd_listen_fds(3): descriptors from 3 on, and the pid that they are for, which exec keeps."""

    def hand_over():
        high = [os.dup2(one.fileno(), 100 + place) for place, one in enumerate(sockets)]
        for place, number in enumerate(high):
            os.dup2(number, 3 + place, inheritable=True)

    script = f'LISTEN_PID={pid} LISTEN_FDS={len(sockets)} exec "$SHMVISOR" agent'
    return lib.Agent(folder, command=["sh", "-c", script], environment={"NOTIFY_SOCKET": address}, prepare=hand_over)


manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind(f"{folder}/notify.sock")
manager.settimeout(BOUND_SECONDS)
listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
listening.bind(f"{folder}/handed.sock")
listening.listen()
early = lib.connect(f"{folder}/handed.sock")  # waits in the socket until somebody serves it
agent = agent_with([listening], f"{folder}/notify.sock")
expect("ready", b"READY=1", manager.recv(100))
process = contained(f"{folder}/handed.sock")
expect("a call", 0, process.call())
early.close()
process.end()
agent.process.send_signal(signal.SIGTERM)
expect("stopping", b"STOPPING=1", manager.recv(100))
expect("status", 0, agent.wait())
expect("log", "", agent.log())
expect("the socket, which is not its", True, os.path.exists(f"{folder}/handed.sock"))

heading("an abstract address of the manager's")
abstract = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
name = f"shmvisor-test-{os.getpid()}"
abstract.bind("\0" + name)
abstract.settimeout(BOUND_SECONDS)
agent = agent_with([listening], "@" + name)
expect("ready", b"READY=1", abstract.recv(100))
expect("status", 0, agent.stop())

heading("what is no socket to listen at")
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams:
    agent = agent_with([datagrams], "")
    expect("status", 125, agent.wait())
    if "no listening unix stream socket" not in agent.log():
        fail(agent.log())
agent = agent_with([listening, listening], "")
expect("status", 125, agent.wait())
if "more than one socket" not in agent.log():
    fail(agent.log())
agent = agent_with([listening], "", pid=1)
expect("sockets of another process: status", 125, agent.wait())


heading("variables of a service manager's that mean nothing")
for pid, count in (("$$", "abc"), ("$$", "-1"), ("$$", "0"), ("$$", "100000"), ("$$", ""), ("abc", "1"), ("", "1"), ("-1", "1")):
    agent = lib.Agent(folder, command=["sh", "-c", f'LISTEN_PID={pid} LISTEN_FDS={count} exec "$SHMVISOR" agent'])
    expect(f"LISTEN_PID={pid} LISTEN_FDS={count}: status", 125, agent.wait())
    if nowhere not in agent.log():
        fail(agent.log())

heading("a service manager that cannot be reached, or does not listen")
deaf = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
deaf.bind(f"{folder}/deaf.sock")
with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
    filler.setblocking(False)
    try:
        while True:
            filler.sendto(b"x", f"{folder}/deaf.sock")
    except BlockingIOError:
        pass
for address in (f"{folder}/nobody", "@" + name + "-nobody", "x" * 200, "@", "not/absolute", f"{folder}/deaf.sock"):
    agent = lib.Agent(folder, environment={"NOTIFY_SOCKET": address}).wait_for_socket()
    process = contained(agent.path)
    expect(f"a call, NOTIFY_SOCKET={address[:40]}", 0, process.call())
    process.end()
    expect("status", 0, agent.stop())
    expect("log", "", agent.log())

heading("a service manager that listens late")
agent = lib.Agent(folder, environment={"NOTIFY_SOCKET": f"{folder}/deaf.sock"}).wait_for_socket()
time.sleep(2.5)
deaf.settimeout(BOUND_SECONDS)
heard = b"x"
while heard == b"x":
    heard = deaf.recv(100)
expect("ready", b"READY=1", heard)
expect("status", 0, agent.stop())
