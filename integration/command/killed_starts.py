"""killed_starts.py COUNT SHMVISOR OPTION...: starts shmvisor COUNT times, and kills each at a random moment of its start.

With --join as the only option, what is killed is the server, while somebody joins; that one must end by itself."""

import os
import random
import subprocess
import sys
import time

COUNT, SHMVISOR, OPTIONS = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
BOUND_SECONDS = 30
SEED = time.time_ns() & 0xFFFFFF
RANDOM = random.Random(SEED)


def start(*words):
    return subprocess.Popen([SHMVISOR, *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def usual_start_seconds():
    """How long it takes to the end of a command that does nothing."""
    begun = time.monotonic()
    for _ in range(3):
        start("run", "--", "true").wait(BOUND_SECONDS)
    return (time.monotonic() - begun) / 3


def server():
    process = start("run", "--serve", "socket", "--", "sleep", "1000")
    deadline = time.monotonic() + BOUND_SECONDS
    while not os.path.exists("socket"):
        if time.monotonic() > deadline:
            sys.exit("the server does not start")
        time.sleep(0.001)
    return process


def main():
    usual = usual_start_seconds()
    print(f"seed {SEED}, a start takes {usual * 1000:.1f} ms")
    joining = OPTIONS == ["--join"]
    for number in range(COUNT):
        serving = server() if joining else None
        victim = serving or start(*OPTIONS)
        joined = start("run", "--join", "socket", "--", "true") if joining else None
        time.sleep(RANDOM.uniform(0, 1.3 * usual))
        victim.kill()
        victim.wait()
        if joined is not None:
            try:
                joined.wait(BOUND_SECONDS)
            except subprocess.TimeoutExpired:
                sys.exit(f"seed {SEED}: start {number} hangs without its server")
            os.unlink("socket")


main()
