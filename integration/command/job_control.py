"""job_control.py [PREFIX...]: types at an interactive shell on a terminal of its own and prints what came of it.

Each step waits for what it expects, within a bound; nothing is timed."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

PREFIX = " ".join(sys.argv[1:] + [""]) if len(sys.argv) > 1 else ""
BOUND_SECONDS = 25
INTERRUPT, QUIT, SUSPEND, END = b"\x03", b"\x1c", b"\x1a", b"\x04"


class Terminal:
    def __init__(self):
        self.seen = ""
        self.step = 0
        self.shell, self.master = pty.fork()
        if self.shell == 0:
            os.environ.update(PS1="", PS2="", TERM="dumb", HISTFILE="", LC_ALL="C")
            os.execvp("bash", ["bash", "--norc", "--noediting", "-i"])
        self.run("stty -echo")
        self.run("PS1=")

    def fail(self, what):
        sys.stderr.write(f"waited for {what}; seen:\n{self.seen}\n")
        sys.stderr.write(subprocess.run(["ps", "-eo", "pid,ppid,pgid,tpgid,stat,wchan:20,args"],
                                        capture_output=True, text=True).stdout)
        os.kill(self.shell, signal.SIGKILL)
        sys.exit(1)

    def type(self, data):
        os.write(self.master, data if isinstance(data, bytes) else data.encode() + b"\n")

    def wait_for(self, pattern):
        """Consumes the output up to the end of pattern."""
        deadline = time.monotonic() + BOUND_SECONDS
        while True:
            match = re.search(pattern, self.seen)
            if match:
                self.seen = self.seen[match.end():]
                return match
            if time.monotonic() > deadline:
                self.fail(repr(pattern))
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.master, 65536).decode().replace("\r\n", "\n")
                except OSError:
                    self.fail(repr(pattern) + ", and the terminal is closed")

    def run(self, line):
        """Runs a line in the shell, up to its end; gives what it printed."""
        self.step += 1
        self.type(line)
        return self.finish()

    def finish(self):
        self.type(f"echo \"[status $?, end {self.step}]\"")
        return self.wait_for(rf"(?s)(.*?)\[status (\d+), end {self.step}\]\n")

    def wait_foreground(self, name):
        """Until a process of that name is in the terminal's foreground group and has nothing left to do."""
        deadline = time.monotonic() + BOUND_SECONDS
        while time.monotonic() < deadline:
            group = os.tcgetpgrp(self.master)
            processes = subprocess.run(["ps", "-eo", "pgid=,stat=,comm="], capture_output=True, text=True)
            for line in processes.stdout.splitlines():
                pgid, state, command = line.split(None, 2)
                if int(pgid) == group and command == name and state[0] == "S":
                    return
            time.sleep(0.05)
        self.fail(f"{name} in the foreground")

    def wait_gone(self, name):
        deadline = time.monotonic() + BOUND_SECONDS
        while time.monotonic() < deadline:
            if subprocess.run(["pgrep", "-x", name], capture_output=True).returncode != 0:
                return
            time.sleep(0.05)
        self.fail(f"end of {name}")


def status(match):
    return "status " + match.group(2)


def keys(terminal):
    for name, key in (("interrupt", INTERRUPT), ("quit", QUIT)):
        terminal.step += 1
        terminal.type(f"{PREFIX}sleep 1000")
        terminal.wait_foreground("sleep")
        terminal.type(key)
        terminal.wait_gone("sleep")
        print(name, status(terminal.finish()))


def suspended(terminal):
    terminal.step += 1
    terminal.type(f"{PREFIX}cat")
    terminal.wait_foreground("cat")
    terminal.type("first")
    terminal.wait_for(r"first\n")
    terminal.type(SUSPEND)
    terminal.wait_for(r"Stopped")
    print("suspended", status(terminal.finish()))
    jobs = terminal.run("jobs").group(1)
    print("jobs:", len(re.findall("Stopped", jobs)), "stopped")
    for round_number in (1, 2):
        terminal.type("fg")
        terminal.wait_foreground("cat")
        terminal.type(f"again {round_number}")
        terminal.wait_for(rf"again {round_number}\n")
        terminal.type(SUSPEND)
        terminal.wait_for(r"Stopped")
        terminal.run("true")
    terminal.step += 1
    terminal.type("fg")
    terminal.wait_foreground("cat")
    terminal.type(END)
    terminal.wait_gone("cat")
    print("continued", status(terminal.finish()))


def background(terminal):
    terminal.run(f"{PREFIX}cat &")
    terminal.type("")
    deadline = time.monotonic() + BOUND_SECONDS
    while "Stopped" not in terminal.run("jobs").group(1):
        if time.monotonic() > deadline:
            terminal.fail("a background reader to stop")
        time.sleep(0.1)
    print("background reader stopped")
    terminal.step += 1
    terminal.type("fg")
    terminal.wait_foreground("cat")
    terminal.type("typed later")
    terminal.wait_for(r"typed later\n")
    terminal.type(END)
    terminal.wait_gone("cat")
    print("then read:", status(terminal.finish()))
    terminal.run(f"{PREFIX}sleep 1000 &")
    terminal.run("kill %%")
    terminal.wait_gone("sleep")
    terminal.run("wait")
    print("killed as a job")


def pipelines(terminal):
    print("pipeline", terminal.run(f"echo abc | {PREFIX}cat | tr a-z A-Z").group(1).strip())
    print("statuses", terminal.run(f"{PREFIX}bash -c 'exit 3' | {PREFIX}cat; echo ${{PIPESTATUS[@]}}").group(1).strip())
    terminal.step += 1
    terminal.type(f"{PREFIX}sleep 1000 | cat")
    terminal.wait_foreground("sleep")
    terminal.type(INTERRUPT)
    terminal.wait_gone("sleep")
    print("pipeline interrupted", status(terminal.finish()))


def terminal_access(terminal):
    print("controlling terminal", status(terminal.run(f"{PREFIX}bash -c 'exec </dev/tty; [ -t 0 ]'")))
    print("may set modes", status(terminal.run(f"{PREFIX}stty -ixon")))
    terminal.step += 1
    terminal.type(f"{PREFIX}bash -c 'trap \"echo resized\" WINCH; echo waiting; while sleep 0.05; do :; done'")
    terminal.wait_for("waiting\n")
    import fcntl
    import struct
    import termios
    fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 90, 0, 0))
    terminal.wait_for("resized\n")
    terminal.type(INTERRUPT)
    print("window size", status(terminal.finish()))


def nested_shell(terminal):
    """A shell with job control of its own inside."""
    terminal.step += 1
    terminal.type(f"{PREFIX}bash --norc --noediting -i")
    terminal.type("PS1=; echo inner ready")
    terminal.wait_for("inner ready\n")
    terminal.type("sleep 1000")
    terminal.wait_foreground("sleep")
    terminal.type(SUSPEND)
    terminal.wait_for("Stopped")
    terminal.type("fg")
    terminal.wait_foreground("sleep")
    terminal.type(INTERRUPT)
    terminal.wait_gone("sleep")
    terminal.type("echo inner $?; exit 5")
    print("inner", terminal.wait_for(r"inner (\d+)\n").group(1))
    print("nested shell", status(terminal.finish()))


def main():
    terminal = Terminal()
    for step in (keys, suspended, background, pipelines, terminal_access, nested_shell):
        step(terminal)
    terminal.type("exit")
    os.waitpid(terminal.shell, 0)


main()
