#!/usr/bin/env python3
"""under_kills.py MEAN_SECONDS MOST_KILLS COMMAND...: while COMMAND works, kills the servers of all runs below it at
random moments, one every MEAN_SECONDS. Its runs are to have a keeper. Ends with COMMAND's status."""
import os
import pathlib
import random
import signal
import subprocess
import sys
import time


def parent_of(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat[stat.rindex(")") + 2:].split()[1])


def is_below(pid, ancestor):
    while pid > 1 and pid != ancestor:
        pid = parent_of(pid)
    return pid == ancestor


def servers_below(ancestor):
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            name = pathlib.Path(f"/proc/{entry}/comm").read_text().strip()
        except OSError:
            continue
        if name == "shmvisor-server" and is_below(int(entry), ancestor):
            found.append(int(entry))
    return found


def main():
    mean, most, *command = sys.argv[1:]
    work = subprocess.Popen(command)
    kills = 0
    while work.poll() is None:
        time.sleep(random.expovariate(1 / float(mean)))
        servers = servers_below(work.pid) if kills < int(most) else []
        if servers:
            try:
                os.kill(random.choice(servers), signal.SIGKILL)
                kills += 1
            except ProcessLookupError:
                pass
    print(f"{kills} servers were killed")
    sys.exit(work.returncode if work.returncode >= 0 else 128 - work.returncode)


main()
