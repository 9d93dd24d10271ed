#!/usr/bin/env python3
"""audited.py REFUSED KILLS: the servers of a run with an audit are killed, at random moments, while its command is
refused again and again, which runs the program REFUSED. Each refusal is in the file, and but for those that were
decided twice, once."""
import collections
import json
import os
import random
import sys
import time

import keeper

FIRST_SIZE = 10000  # no size is refused twice
# All that one user may cause, AuditLog::kRecordsAtOnce, is not reached within one server's life.
LONGEST_LIFE_SECONDS = 0.25


def main():
    refused, kills = sys.argv[1], int(sys.argv[2])
    run = keeper.start(["--keeper-deaths", "1000000", "--shmmax", "8K", "--audit", "./audit", "--audit-format", "json",
                        "--audit-size", "64K", "--audit-keep", "100"],
                       [refused, str(FIRST_SIZE)], **keeper.PIPES)
    if run.stdout.readline() != "ready\n":
        raise SystemExit(f"FAILED: the command does not begin: {run.communicate()[1]}")
    killed = 0
    while killed < kills and run.poll() is None:
        last = keeper.wait_for("no server", lambda: keeper.server_of(run.pid))
        time.sleep(random.uniform(0, LONGEST_LIFE_SECONDS))
        if keeper.kill_server(run.pid):
            killed += 1
            keeper.next_server(run.pid, last)
    run.stdin.close()
    run.stdin = None
    out, log = run.communicate(timeout=keeper.BOUND_SECONDS)
    count = int(out)
    files = [name for name in os.listdir(".") if name.startswith("audit")]
    events = collections.Counter()
    sizes = collections.Counter()
    torn = 0
    for name in files:
        with open(name, encoding="utf-8") as lines:
            for line in lines:
                try:
                    record = json.loads(line)
                except ValueError:
                    torn += 1
                    continue
                events[record["event"]] += 1
                if record["event"] == "refusal":
                    sizes[record["size"]] += 1
    missing = [size for size in range(FIRST_SIZE, FIRST_SIZE + count) if size not in sizes]
    twice = sum(1 for times in sizes.values() if times > 1)
    print(f"{killed} servers killed, {count} refusals, {len(files)} files, {len(missing)} missing, {twice} twice, "
          f"{torn} torn; {dict(events)}")
    others = [line for line in log.splitlines() if "another one goes on" not in line and "shmmax" not in line]
    if run.returncode != 0 or others:
        raise SystemExit(f"FAILED: status {run.returncode}, {others[:10]}")
    if missing or torn or twice > max(1, kills // 20) or killed < kills:
        raise SystemExit(f"FAILED: missing {missing[:10]}")
    if events["start"] != 1 or events["stop"] != 1 or events["left_out"] or events["lost"]:
        raise SystemExit("FAILED: events")


main()
