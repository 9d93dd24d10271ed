"""What the Python tests of this folder share: an agent, and processes that send it their listener."""
import array
import contextlib
import ctypes
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time

BOUND_SECONDS = 30
SYS_SHMGET, SYS_SECCOMP, PR_SET_NO_NEW_PRIVS = 29, 317, 38
libc = ctypes.CDLL(None, use_errno=True)


def fail(text):
    sys.exit(f"FAILED: {text}")


def expect(what, wanted, got):
    if wanted != got:
        fail(f"{what}: wanted {wanted!r}, got {got!r}")


def wait_until(what, condition):
    end = time.monotonic() + BOUND_SECONDS
    while not condition():
        if time.monotonic() > end:
            fail(f"it does not happen: {what}")
        time.sleep(0.02)


def connect(path):
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(BOUND_SECONDS)

    def connects():  # the socket is there a moment before it listens
        try:
            connection.connect(path)
        except ConnectionRefusedError:
            return False
        return True

    wait_until("a connection", connects)
    return connection


def send(connection, data, fds=()):
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    return connection.sendmsg([data], rights)


def message(container="c", **changes):
    """What a runtime sends; a change to None leaves the member out."""
    whole = {
        "ociVersion": "1.0.2",
        "fds": ["seccompFd"],
        "pid": os.getpid(),
        "metadata": "",
        "state": {"ociVersion": "1.0.2", "id": container, "status": "creating", "pid": 1, "bundle": "."},
    }
    whole.update(changes)
    return {name: value for name, value in whole.items() if value is not None}


def install_filter():
    """A filter that notifies of shmget alone; the listener."""

    def statement(code, jump_true, jump_false, value):
        return struct.pack("HBBI", code, jump_true, jump_false, value)

    program = ctypes.create_string_buffer(
        statement(0x20, 0, 0, 0)
        + statement(0x15, 0, 1, SYS_SHMGET)
        + statement(0x06, 0, 0, 0x7FC00000)
        + statement(0x06, 0, 0, 0x7FFF0000)
    )
    whole = ctypes.create_string_buffer(struct.pack("HxxxxxxP", 4, ctypes.addressof(program)))
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    listener = libc.syscall(SYS_SECCOMP, 1, 8, whole)
    if listener < 0:
        fail(f"seccomp: {os.strerror(ctypes.get_errno())}")
    return listener


def shmget_error():
    """0 where a new segment can be made, an errno otherwise."""
    return 0 if libc.syscall(SYS_SHMGET, 0, ctypes.c_size_t(4096), 0o600) >= 0 else ctypes.get_errno()


class Contained:
    """A forked process that sends its listener by `sender(listener)`, and calls when it is told to."""

    def __init__(self, sender):
        self.commands, their_commands = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            self.commands.close()
            status = 1
            with contextlib.suppress(BaseException):
                listener = install_filter()
                kept = sender(listener)  # a connection that is to stay open
                os.close(listener)
                their_commands.send(b"sent")
                while their_commands.recv(1) == b"c":
                    their_commands.send(bytes([shmget_error()]))
                del kept
                status = 0
            os._exit(status)
        their_commands.close()
        self.commands.settimeout(BOUND_SECONDS)
        expect("the process", b"sent", self.commands.recv(4))

    def call(self):
        self.commands.send(b"c")
        return self.commands.recv(1)[0]

    def end(self):
        # Not by closing: processes that were forked later have copies.
        self.commands.send(b"e")
        expect("status of a contained process", 0, os.waitpid(self.pid, 0)[1])


def contained(path, **changes):
    """A process as it should be."""

    def sender(listener):
        with connect(path) as connection:
            send(connection, json.dumps(message(**changes)).encode(), [listener])

    return Contained(sender)


class Agent:
    """`shmvisor agent` in a folder of its own. `prepare` runs before its exec, in the child."""

    def __init__(self, folder, arguments=None, command=None, environment=None, prepare=None, log="agent.log"):
        self.path = f"{folder}/agent.sock"
        self.log_path = f"{folder}/{log}"
        arguments = ["--socket", self.path] if arguments is None else arguments
        with open(self.log_path, "wb") as log_file:
            self.process = subprocess.Popen(
                command or [os.environ["SHMVISOR"], "agent", *arguments],
                stderr=log_file,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
                preexec_fn=prepare,
                close_fds=False,
            )

    def log(self):
        with open(self.log_path, encoding="utf-8") as log:
            return log.read()

    def descriptors(self):
        """What it has open, by kind."""
        place = f"/proc/{self.process.pid}/fd"
        kinds = []
        for entry in os.listdir(place):
            try:
                kinds.append(os.readlink(f"{place}/{entry}").split(":[")[0])
            except FileNotFoundError:
                pass  # closed meanwhile
        return sorted(kinds)

    def wait_for_socket(self):
        wait_until("the agent makes its socket", lambda: os.path.exists(self.path) or self.ended())
        return self

    def ended(self):
        return self.process.poll() is not None

    def wait(self):
        try:
            return self.process.wait(BOUND_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            fail("the agent does not end")

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.wait()


