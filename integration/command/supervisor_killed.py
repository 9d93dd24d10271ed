#!/usr/bin/env python3
"""supervisor_killed.py PROGRAM QUIET TIMES [OPTION...]: kills a supervisor in the middle of what its
command is calling, and asks the command what it found.

Everything that PROGRAM says between "ready" and "end" is a fault."""
import collections
import os
import random
import select
import signal
import subprocess
import sys
import time

BOUND_SECONDS = 60


def read_until(pipe, wanted, text=b""):
    """What the program says until `wanted`, and whether all that have its output have ended."""
    deadline = time.monotonic() + BOUND_SECONDS
    while wanted not in text:
        ready, _, _ = select.select([pipe], [], [], max(0, deadline - time.monotonic()))
        if not ready:
            return text, False
        piece = os.read(pipe.fileno(), 4096)
        if not piece:
            return text, True
        text += piece
    return text, False


def once(program, quiet, options, delay):
    run = subprocess.Popen([os.environ["SHMVISOR"], "run", *options, "--", program, quiet],
                           stdout=subprocess.PIPE)
    said, _ = read_until(run.stdout, b"ready\n")
    if b"ready" not in said:
        run.kill()
        run.wait()
        return ["did not begin"]
    until = time.monotonic() + delay
    while time.monotonic() < until:
        pass
    run.send_signal(signal.SIGKILL)
    run.wait()
    said, gone = read_until(run.stdout, b"end\n", said)
    lines = said.decode().split("\n")
    faults = [line for line in lines if line not in ("ready", "end", "")]
    if "end" not in lines:
        faults.append("killed" if gone else "did not end")
    return faults


def main():
    program, quiet, times, *options = sys.argv[1:]
    faults = collections.Counter()
    for _ in range(int(times)):
        faults.update(once(program, quiet, options, random.uniform(0, 0.002)))
    for fault, count in sorted(faults.items()):
        print(f"{count} of {times}: {fault}")
    print("end")
    return 1 if faults else 0


sys.exit(main())
