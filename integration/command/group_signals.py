"""group_signals.py COMMAND...: COMMAND, which logs its signals and ends at SIGUSR2, gets some for itself and some for its
process group, one after the other: how often each came is printed."""

import collections
import os
import random
import signal
import subprocess
import sys
import time

COMMAND = sys.argv[1:]
BOUND_SECONDS = 20
#: Between a signal and the next: long enough for one that comes twice to be seen.
PAUSE_SECONDS = 0.05
SIGNALS = [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGWINCH, signal.SIGCONT,
           signal.SIGABRT, signal.SIGSEGV, signal.SIGRTMIN + 1]


class Logged:
    def __init__(self, **options):
        self.process = subprocess.Popen(COMMAND, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, **options)
        os.set_blocking(self.process.stdout.fileno(), False)
        self.seen = ""
        self.wait_for(lambda: "ready" in self.seen, "its start")

    def wait_for(self, condition, what):
        deadline = time.monotonic() + BOUND_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                sys.exit(f"waited for {what}; seen: {self.seen}")
            self.read()
            time.sleep(0.002)

    def read(self):
        self.seen += (self.process.stdout.read() or b"").decode()

    def count(self, number):
        return self.seen.split("\n").count(f"signal {int(number)}")

    def end(self):
        os.kill(self.process.pid, signal.SIGUSR2)
        self.process.wait(BOUND_SECONDS)
        self.read()
        return self.process.returncode


def rounds(name, target_group, chooser, count, **options):
    logged = Logged(**options)
    wanted = collections.Counter()
    for turn in range(count):
        number = SIGNALS[turn % len(SIGNALS)]
        before = logged.count(number)
        if chooser(turn):
            os.killpg(target_group(logged.process.pid), number)
        else:
            os.kill(logged.process.pid, number)
        wanted[number] += 1
        logged.wait_for(lambda: logged.count(number) > before, f"{name}: {number!r}")
        time.sleep(PAUSE_SECONDS)
    status = logged.end()
    got = {int(number): logged.count(number) for number in SIGNALS}
    print(name, got, "as sent" if all(got[int(n)] == wanted[n] for n in SIGNALS) else f"sent {dict(wanted)}", status)


def main():
    own = lambda pid: os.getpgid(pid)
    rounds("to the leader of a session", own, lambda turn: True, 18, start_new_session=True)
    rounds("to the leader of a group", own, lambda turn: True, 18, process_group=0)
    rounds("to it alone", own, lambda turn: False, 18, process_group=0)
    chance = random.Random(1)
    rounds("to either", own, lambda turn: chance.random() < 0.5, 36, process_group=0)


main()
