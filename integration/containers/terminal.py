"""terminal.py PREFIX...: starts containers on a terminal of its own, types, and says what is wrong.

Each step waits for what it expects, within a bound; nothing is timed."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

PREFIX = sys.argv[1:]
BOUND_SECONDS = 30
INTERRUPT, SUSPEND, END = b"\x03", b"\x1a", b"\x04"


class Container:
    def __init__(self, *command):
        self.seen = ""
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            os.execvp(PREFIX[0], PREFIX + list(command))

    def fail(self, what):
        sys.stderr.write(f"waited for {what}; seen:\n{self.seen}\n")
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        sys.exit(1)

    def type(self, data):
        os.write(self.master, data)

    def read(self):
        """False at the end."""
        if not select.select([self.master], [], [], 0.2)[0]:
            return True
        try:
            data = os.read(self.master, 65536)
        except OSError:
            return False
        self.seen += data.decode().replace("\r\n", "\n")
        return bool(data)

    def wait_for(self, pattern):
        """Consumes the output up to the end of pattern."""
        deadline = time.monotonic() + BOUND_SECONDS
        while not re.search(pattern, self.seen):
            if time.monotonic() > deadline or not self.read():
                self.fail(repr(pattern))
        match = re.search(pattern, self.seen)
        self.seen = self.seen[match.end():]
        return match

    def press_until(self, keys, pattern):
        """For keys that may come before the shell has handed the terminal over."""
        for _ in range(BOUND_SECONDS):
            self.type(keys)
            for _ in range(5):
                self.read()
                if re.search(pattern, self.seen):
                    self.wait_for(pattern)
                    return
        self.fail(repr(pattern))

    def finish(self, status):
        """Reads all that is left; the container must end with `status`."""
        deadline = time.monotonic() + BOUND_SECONDS
        while self.read():
            if time.monotonic() > deadline:
                self.fail("the end")
        ended = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if ended != status:
            self.fail(f"status {status}, not {ended}")
        return self.seen


def place():
    container = Container("/bin/sh", "/bin/place")
    container.wait_for("leads its group: yes, foreground: yes\n")
    container.wait_for(r"PID 1: \(shmvisor\)\n")
    container.finish(0)


def keys():
    container = Container("/bin/sh", "/bin/keys")
    container.wait_for("ready\n")
    container.type(INTERRUPT)
    container.wait_for("interrupts: 1\n")
    container.type(INTERRUPT)
    container.wait_for(r"interrupts: (\d+)\n")
    fcntl.ioctl(container.master, termios.TIOCSWINSZ, struct.pack("HHHH", 41, 91, 0, 0))
    container.wait_for("resized\n")
    os.kill(container.pid, signal.SIGTERM)  # podman passes it on to PID 1
    container.wait_for("terminated\n")
    if "interrupts" in container.finish(7):
        container.fail("two interrupts and no more")


def interrupted():
    container = Container("/bin/sh", "-c", "echo ready; exec /bin/busybox sleep 1000")
    container.wait_for("ready\n")
    container.type(INTERRUPT)
    container.finish(130)


def suspended():
    """Nobody is there to continue a stopped command; as PID 1 it could not be stopped either."""
    container = Container("/bin/sh", "-c", "echo ready; exec /bin/busybox cat")
    container.wait_for("ready\n")
    container.type(b"first\n")
    container.wait_for("first\nfirst\n")
    container.type(SUSPEND)
    container.type(b"second\n")
    container.wait_for("second\nsecond\n")
    container.type(END)
    container.finish(0)


def shell():
    """A shell with job control of its own."""
    container = Container("/bin/sh", "-i")
    container.type(b"echo rea''dy\n")
    if "can't access tty" in container.wait_for("(?s).*?\nready\n").group(0):
        container.fail("job control")
    command = 'trap "echo going" CONT; echo slee""ping; while :; do /bin/busybox sleep 1; done'
    container.type(f"/bin/sh -c '{command}'\n".encode())
    container.wait_for("sleeping\n")
    container.type(SUSPEND)
    container.wait_for("Stopped.*\n")
    container.type(b"fg\n")
    # Before that the shell itself may be interrupted, which looks alike.
    container.wait_for("going\n")
    container.press_until(INTERRUPT + b"echo foreground $?\n", "foreground 130\n")
    container.type(b"exit 5\n")
    container.finish(5)


for step in (place, keys, interrupted, suspended, shell):
    print(step.__name__, flush=True)
    step()
