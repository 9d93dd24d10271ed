#!/usr/bin/env python3
"""completion.py FOLDER: presses TAB in real shells that have the completions FOLDER/bash and FOLDER/zsh."""
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time

FOLDER = sys.argv[1]
BOUND_SECONDS = 30
LIBRARY = "/usr/share/bash-completion/bash_completion"


def fail(text):
    sys.exit(f"FAILED: {text}")


class Shell:
    """An interactive shell at a terminal of its own."""

    def __init__(self, *command):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(FOLDER)
            os.environ.update(PS1="$ ", TERM="dumb", LC_ALL="C", HOME=FOLDER)
            os.execvp(command[0], command)
        self.text = ""

    def read_until(self, pattern, what):
        end = time.monotonic() + BOUND_SECONDS
        while not re.search(pattern, self.text):
            if time.monotonic() > end:
                fail(f"{what}: no {pattern!r} in {self.text!r}")
            if select.select([self.terminal], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.terminal, 4096).decode(errors="replace").replace("\x07", "")
                except OSError:
                    fail(f"{what}: the shell has ended: {self.text!r}")

    def say(self, line):
        """A line that it carries out."""
        self.text = ""
        os.write(self.terminal, f"{line}; echo do''ne\n".encode())
        self.read_until("done\r?\n", line)

    def completes(self, typed, wanted):
        """What the line is after a TAB."""
        self.text = ""
        os.write(self.terminal, (typed + "\t").encode())
        self.read_until(re.escape(wanted), f"TAB behind {typed!r}")
        self.text = ""
        os.write(self.terminal, b"\x15")  # Ctrl-U: empties the line
        self.say(":")

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)


def check(shell, joint):
    """`joint`: what the shell has between an option and its value when it completes the option."""
    open(f"{FOLDER}/profile.json", "w", encoding="utf-8").close()
    shell.completes("shmvisor ru", "shmvisor run ")
    shell.completes("shmvisor oci", "shmvisor oci-profile ")
    shell.completes("shmvisor run --join-", f"shmvisor run --join-or-serve{joint}")
    shell.completes("shmvisor run --proc h", "shmvisor run --proc hide ")
    shell.completes("shmvisor run --proc=f", "shmvisor run --proc=fuse ")
    shell.completes("shmvisor run --log-level=deb", "shmvisor run --log-level=debug ")
    shell.completes("shmvisor run --trace=prof", "shmvisor run --trace=profile.json ")
    shell.completes("shmvisor run --without sync-w", "shmvisor run --without sync-wake-up ")
    shell.completes("shmvisor fsck prof", "shmvisor fsck profile.json ")
    shell.completes("shmvisor run --restore prof", "shmvisor run --restore profile.json ")
    shell.completes("shmvisor oci-profile --merge prof", "shmvisor oci-profile --merge profile.json ")
    shell.completes("shmvisor completion z", "shmvisor completion zsh ")
    shell.completes("shmvisor rm --orp", "shmvisor rm --orphans ")
    shell.completes("shmvisor config ch", "shmvisor config check ")
    shell.completes("shmvisor config check prof", "shmvisor config check profile.json ")
    shell.completes("shmvisor config show ag", "shmvisor config show agent ")
    shell.completes("shmvisor config show agent --serve-", f"shmvisor config show agent --serve-group{joint}")
    shell.completes("shmvisor config show run --popu", "shmvisor config show run --populate ")
    shell.completes("shmvisor config show --popu", "shmvisor config show --populate ")
    shell.completes("shmvisor agent --audit jou", "shmvisor agent --audit journald ")
    # The command of run is completed as itself.
    shell.completes("shmvisor run --shmmax 5 completed-com", "completed-command ")
    shell.completes("shmvisor run -- completed-com", "completed-command ")
    shell.completes("shmvisor run -v cat prof", "cat profile.json ")
    # Names and identifiers of what runs.
    shell.completes("shmvisor ls --name comple", "shmvisor ls --name completed ")
    shell.completes("shmvisor stat 4", "shmvisor stat 4 ")
    shell.completes("shmvisor rm 1", "shmvisor rm 1 ")


with open(f"{FOLDER}/bin/completed-command", "w", encoding="utf-8") as command:
    os.fchmod(command.fileno(), 0o755)
inside = "import ctypes, time\nlibc = ctypes.CDLL(None)\n" \
    "ids = [libc.shmget(0, 4096, 0o1600) for _ in range(5)]\n" \
    f"print(ids, file=open({FOLDER!r} + '/made', 'w'), flush=True)\ntime.sleep(1000)\n"
run = subprocess.Popen(["shmvisor", "run", "--name", "completed", "--no-linger", "--", "python3", "-c", inside])
try:
    end = time.monotonic() + BOUND_SECONDS
    while not os.path.exists(f"{FOLDER}/made") or os.path.getsize(f"{FOLDER}/made") == 0:
        if time.monotonic() > end:
            fail("the run does not begin")
        time.sleep(0.05)
    for library in (None, LIBRARY):
        if library and not os.path.exists(library):
            print("not tried: the package bash-completion is missing")
            continue
        print(f"== bash{' with bash-completion' if library else ''}", flush=True)
        shell = Shell("bash", "--norc", "--noprofile", "-i")
        shell.say("bind 'set enable-bracketed-paste off'; bind 'set show-all-if-ambiguous on'")
        if library:
            shell.say(f". {library}")
        shell.say(f". {FOLDER}/bash")
        check(shell, joint=" ")
        shell.end()
    if shutil.which("zsh"):
        print("== zsh", flush=True)
        os.mkdir(f"{FOLDER}/site")
        shutil.copy(f"{FOLDER}/zsh", f"{FOLDER}/site/_shmvisor")
        shell = Shell("zsh", "-f", "-i")
        shell.say(f"fpath=({FOLDER}/site $fpath); autoload -Uz compinit; compinit -u -D; unsetopt zle_bracketed_paste")
        check(shell, joint="=")
        shell.end()
    elif os.environ.get("SHMVISOR_PACKAGES_PROMISED"):
        fail("zsh is missing, though it was to be installed")
    else:
        print("not tried: the package zsh is missing")
finally:
    run.terminate()
    run.wait()
