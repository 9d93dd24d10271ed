#!/usr/bin/env python3
"""killed_servers.py KILLS COMMAND...: kills the servers of one run so often, at random moments, while
the command works, which ends with its input. Its own status says whether it noticed."""
import random
import re
import subprocess
import sys
import time

import keeper


SECONDS = 150
MEAN_SECONDS = 0.1


def main():
    kills, *command = sys.argv[1:]
    kills = int(kills)
    run = keeper.start(["--keeper-deaths", "1000000"], command, **keeper.PIPES)
    if run.stdout.readline() != "ready\n":
        raise SystemExit(f"FAILED: the command does not begin: {run.communicate()[1]}")
    killed = 0
    last = None
    end = time.monotonic() + SECONDS
    while killed < kills and run.poll() is None and time.monotonic() < end:
        server = keeper.server_of(run.pid)
        if server is None or server == last:
            continue
        time.sleep(random.expovariate(1 / MEAN_SECONDS))
        if keeper.kill_server(run.pid):
            killed += 1
            last = server
    run.stdin.close()
    run.stdin = None
    try:
        out, log = run.communicate(timeout=keeper.BOUND_SECONDS)
    except subprocess.TimeoutExpired:
        run.kill()
        raise SystemExit("FAILED: the run does not end") from None
    told = len(re.findall("another one goes on", log))
    others = [line for line in log.splitlines() if "another one goes on" not in line]
    longest = max((int(one) for one in re.findall(r"longest (\d+)", out)), default=0)
    calls = sum(int(one) for one in re.findall(r"(\d+) calls", out))
    print(f"{killed} servers killed, {told} told, status {run.returncode}, {calls} calls, "
          f"the longest {longest} us")
    if others:
        print("\n".join(others[:20]))
    if run.returncode != 0 or others or killed < kills or told < killed:
        raise SystemExit("FAILED")


main()
