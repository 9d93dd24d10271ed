#!/usr/bin/env python3
"""hostile.py: peers that send the agent what they should not. Each is refused with a record in the audit, some with a
line in the log, and none harms the containers beside them."""
import json
import os
import socket
import sys

import agent as lib
from agent import connect, contained, expect, fail, message, send, wait_until

folder = sys.argv[1]
audit = f"{folder}/audit.json"
agent = lib.Agent(folder, ["--socket", f"{folder}/agent.sock", "--audit", audit, "--audit-format", "json"])
agent.wait_for_socket()
LATE = "it was not complete within 10 seconds"
MOST_LINES = 30


def serves_nobody():
    return not any(kind.startswith(("anon_inode:seccomp", "/memfd:", "ipc")) for kind in agent.descriptors())


def refusals():
    """Why messages were refused, but for late ones."""
    return [reason for reason in all_refusals() if reason != LATE]


def all_refusals():
    with open(audit, encoding="utf-8") as records:
        whole = [json.loads(line) for line in records.read().split("\n")[:-1]]
    return [record["because"] for record in whole if record.get("act") == "refused"]


def expect_few_lines():
    lines = agent.log().splitlines()
    if not 1 <= len(lines) <= MOST_LINES:
        fail(f"{len(lines)} lines in the log")
    if "warning: refused a message: " not in agent.log():
        fail(agent.log())


first = contained(agent.path, container="first")
expect("a container before all", 0, first.call())
first.end()
wait_until("it is forgotten", serves_nobody)
at_rest = agent.descriptors()
bystander = contained(agent.path, container="bystander")
expect("a container beside all", 0, bystander.call())


def text(**changes):
    return json.dumps(message(**changes)).encode()


# A connection that brings half a message and stays, and many that bring nothing and stay.
late = connect(agent.path)
send(late, text()[:40])
idle = [connect(agent.path) for _ in range(200)]

no_listener = os.open("/dev/null", os.O_RDONLY)
another = os.open("/dev/zero", os.O_RDONLY)
deep = b'{"a":' + b"[" * 100_000
long = b'{"a":"' + b"x" * (2 << 20)
refused = 0


def refuse(reason, data, fds=()):
    """One connection: a record gives `reason`, and the connection is closed."""
    global refused
    with connect(agent.path) as connection:
        sent = 0
        try:
            sent = send(connection, data, fds)
            while sent < len(data):
                sent += connection.send(data[sent:])
            connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError, OSError):
            pass  # it need not read all
        try:
            expect("bytes from the agent", b"", connection.recv(1))
        except ConnectionResetError:
            pass
    refused += 1
    wait_until(f"a record for {data[:80]!r}", lambda: len(refusals()) >= refused)
    if not refusals()[-1].startswith(reason):
        fail(f"{data[:80]!r}: wanted {reason!r}, got {refusals()[-1]!r}")


ONE = [no_listener]
refuse("it is not one JSON object", b"GET / HTTP/1.1\r\n\r\n", ONE)
refuse("it is not one JSON object", b"\x00\xff" * 5000)
refuse("it is not one JSON object", b"[]", ONE)
refuse("it is not one JSON object", text() + text(), ONE)
refuse("it is not one JSON object", deep, ONE)
refuse("it is too long", long, ONE)
refuse("it ends in the middle", text()[:-1], ONE)
refuse("it ends in the middle", b"\n", ONE)
refuse("it brings no descriptor", text())
refuse("it brings more than one descriptor", text(), [no_listener, another])
refuse("it brings more than one descriptor", text(), [no_listener] * 50)
refuse("its descriptor is no seccomp listener", text(), ONE)
with connect(agent.path):
    pass  # a container that failed to start: no line


def refuse_text(reason, data):
    """The same with a real listener: nothing but the text is wrong. The process has no service then."""

    def sender(listener):
        refuse(reason, data, [listener])

    global refused
    process = lib.Contained(sender)
    refused += 1
    expect(f"a call after {data[:80]!r}", 38, process.call())  # ENOSYS
    process.end()


refuse_text("it is no JSON object", b"{]")
refuse_text("it is no JSON object", b'{"a": "\xff\xfe"}')
refuse_text('"fds" is not ["seccompFd"]', text(fds=None))
refuse_text('"fds" is not ["seccompFd"]', text(fds=[]))
refuse_text('"fds" is not ["seccompFd"]', text(fds=["seccompFd", "other"]))
refuse_text('"fds" is not ["seccompFd"]', text(fds="seccompFd"))
refuse_text('"pid" is no process id', text(pid=-1))
refuse_text('"pid" is no process id', text(pid=1 << 40))
refuse_text('"pid" is no process id', text(pid="1"))
refuse_text('"metadata" is no string', text(metadata=["group=a"]))
refuse_text('there is no "state"', text(state=None))
refuse_text('there is no "state"', text(state="running"))
refuse_text('"state" has no "id"', text(state={}))
refuse_text('"state" has no "id"', text(state={"id": ""}))
refuse_text('"state" has no "id"', text(state={"id": 7}))
refuse_text("the id is too long", text(state={"id": "x" * 2000}))
refuse_text("container a?b: its metadata: 'x' is not NAME=VALUE", text(metadata="x", state={"id": "a\nb"}))
refuse_text("container c: its metadata: bad value in 'shmmni=99999'", text(metadata="shmmni=99999"))
refuse_text("container c: its metadata: group is set twice", text(metadata="group=a,group=b"))

# Unusual, but as it should be: pretty, in single bytes, without pid and metadata, and held open.


def dribble(listener):
    connection = connect(agent.path)
    pretty = json.dumps(message(pid=None, metadata=None), indent=4).encode()
    send(connection, pretty[:1], [listener])
    for at in range(1, len(pretty) - 1):
        connection.send(pretty[at : at + 1])
    connection.send(pretty[-1:] + b"\n")  # behind the last brace the agent may close it
    return connection


slow = lib.Contained(dribble)
expect("a message in single bytes", 0, slow.call())
slow.end()

# Another user. The socket's mode keeps it out; and where that was changed, its credentials do.


def as_another_user():
    os.setresgid(1000, 1000, 1000)
    os.setresuid(1000, 1000, 1000)
    try:
        with connect(agent.path) as connection:
            send(connection, text())
            return 0 if connection.recv(1) == b"" else 2
    except PermissionError:
        return 1
    except (BrokenPipeError, ConnectionResetError):
        return 0


def in_child(function):
    pid = os.fork()
    if pid == 0:
        os._exit(function())
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


expect("mode of the socket", 0o600, os.stat(agent.path).st_mode & 0o777)
expect("another user", 1, in_child(as_another_user))
os.chmod(agent.path, 0o666)
expect("another user where the mode was changed", 0, in_child(as_another_user))
wait_until("a line for it", lambda: "refused a connection: its user is neither root nor ours" in agent.log())

expect("the container that was there all the time", 0, bystander.call())
fresh = contained(agent.path, container="fresh")
expect("a container beside idle connections", 0, fresh.call())
fresh.end()

wait_until("late ones are dropped", lambda: all_refusals().count(LATE) == 201)
expect("the idle see the end", b"", idle[0].recv(1))
expect("the late one sees the end", b"", late.recv(1))
for connection in [late, *idle]:
    connection.close()
expect("refusals", refused, len(refusals()))
expect_few_lines()

expect("the container that was there all the time", 0, bystander.call())
bystander.end()
wait_until("nothing is left", lambda: agent.descriptors() == at_rest)
expect("status", 0, agent.stop())
expect("refusals", refused, len(refusals()))
expect_few_lines()
