#!/usr/bin/env python3
"""killed_servers.py KILLS SECONDS COMMAND...: kills the servers of one run so often, at random
moments, while the command works. The command's own status says whether it noticed."""
import random
import re
import subprocess
import sys
import time

import keeper


def main():
    kills, seconds, *command = sys.argv[1:]
    kills, seconds = int(kills), float(seconds)
    run = keeper.start(["--keeper-deaths", "1000000"], command, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True)
    if run.stdout.readline() != "ready\n":
        raise SystemExit(f"FAILED: the command does not begin: {run.communicate()[1]}")
    killed = 0
    last = None
    end = time.monotonic() + seconds
    while killed < kills and run.poll() is None and time.monotonic() < end:
        server = keeper.server_of(run.pid)
        if server is None or server == last:
            continue
        time.sleep(random.expovariate(kills / seconds * 1.5))
        if keeper.kill_server(run.pid):
            killed += 1
            last = server
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
