#!/usr/bin/env python3
"""fault_points.py SOURCES PROGRAM [--list] [--only NAME] [--passages N,N...] [--seconds S]: kills the
server once at each fault_point("NAME") of the sources, under PROGRAM, which sees whether anything of
its calls changes. Needs a build with SHMVISOR_FAULT_POINTS; status 77 for another one."""
import argparse
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import keeper

# A point is passed so often before the server dies: the first calls of a process are run step by
# step, later ones by the call page, and then from call sites.
PASSAGES = (1, 2, 3, 5, 9, 17)
BOUND_SECONDS = 40
WHOLE = "begun\nwhole\n"
# Options of the run, and arguments of the program: rounds, threads, whose calls. The later ones reach the points that
# the first does not pass.
WAYS = (
    ([], ["7", "1"]),
    (["--without", "call-page"], ["3", "1"]),
    ([], ["20", "1", "libc"]),
)
# Several threads of one process.
THREADS_WAY = ([], ["5", "3"])
# Of the points that are passed once in a thousand changes.
RARE = "checkpoint_"
LONG_WAY = ([], ["300", "1", "libc"])
# Those of what follows a death: (the death before, passage).
BEFORE = {
    "left_": ("step_replaced", 1),
    "taking_up": ("step_noted", 1),
    "note_taken_up": ("step_noted", 1),
}


def names(sources):
    found = set()
    for path in pathlib.Path(sources).rglob("*.cc"):
        found.update(re.findall(r'fault_point\("(\w+)"\)', path.read_text()))
    return sorted(found)


def faults_of(name, passage):
    """Deaths in one run: that at the point, after that by which the point is reached at all."""
    before = next((fault for start, fault in BEFORE.items() if name.startswith(start)), None)
    first = [f"{before[0]}:{before[1]}"] if before else []
    return ",".join([*first, f"{name}:{passage}"])


def deaths_in(log):
    return len(re.findall("another one goes on", log))


def run_once(program, faults, options, arguments):
    """(how many servers died, what is wrong or None)"""
    environment = dict(os.environ, SHMVISOR_FAULT=faults)
    run = keeper.start(["--keeper-deaths", "100", *options], [program, *arguments],
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
                       start_new_session=True)
    try:
        out, log = run.communicate(timeout=BOUND_SECONDS)
    except subprocess.TimeoutExpired:
        stuck = stopped_in(run.pid)
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
        return 0, f"does not end; {stuck}"
    rest = [line for line in log.splitlines() if "another one goes on" not in line]
    if run.returncode != 0 or out != WHOLE or rest:
        return deaths_in(log), f"status {run.returncode}, {out!r}, {rest[:4]}"
    return deaths_in(log), None


def run_alone(program, faults, options, arguments):
    """No server follows: the command goes on, and its calls fail. (how many died, what is wrong or None)"""
    environment = dict(os.environ, SHMVISOR_FAULT=faults)
    run = keeper.start(["--keeper-deaths", "1", "--no-kill", *options], [program, *arguments], stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True)
    try:
        out, log = run.communicate(timeout=BOUND_SECONDS)  # of the command, too
    except subprocess.TimeoutExpired:
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
        return 0, "the command does not end"
    died = len(re.findall("no other one is started", log))
    every = [line for line in log.splitlines() if line.startswith("injected: ")]
    # Of a descriptor that it was lent it keeps a copy (limits.md).
    told = [line for line in every if not re.search(r"\d+ descriptors, not", line)]
    fails = every and all(re.search("38$|Function not implemented", line) for line in told)
    if died == 0 and (run.returncode, out) == (0, WHOLE):
        return 0, None
    # One whose last call was answered already has nothing more to ask for; one that has not begun never does.
    if died != 1 or run.returncode != 125 or not (fails or out in (WHOLE, "")):
        return died, f"status {run.returncode}, {out!r}, {log.splitlines()[:4]}"
    return died, None


def stopped_in(keeper_pid):
    states = []
    for pid in keeper.children(keeper_pid):
        try:
            states.append(pathlib.Path(f"/proc/{pid}/stat").read_text()[:60])
        except OSError:
            pass
    return "; ".join(states)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("sources")
    parser.add_argument("program")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--only")
    parser.add_argument("--passages", default=",".join(map(str, PASSAGES)))
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--threads", action="store_true")
    parser.add_argument("--alone", action="store_true", help="no other server follows")
    given = parser.parse_args()
    usual = [THREADS_WAY] if given.threads else WAYS
    run_one = run_alone if given.alone else run_once
    points = names(given.sources)
    if given.list:
        print("\n".join(points))
        return
    died, wrong = run_once(given.program, "received:1", *WAYS[0])
    if wrong:
        raise SystemExit(f"FAILED: at the first call: {wrong}")
    if died == 0:
        print("SKIPPED: this shmvisor was built without SHMVISOR_FAULT_POINTS")
        sys.exit(77)
    end = time.monotonic() + given.seconds
    failed, never, runs, left_out = [], [], 0, 0
    for name in points:
        if given.only and not re.fullmatch(given.only, name):
            continue
        if given.alone and name.startswith(tuple(BEFORE)):
            continue
        deaths = 0
        for way in [LONG_WAY] if name.startswith(RARE) else usual:
            for passage in map(int, given.passages.split(",")):
                if time.monotonic() > end:
                    left_out += 1
                    continue
                died, wrong = run_one(given.program, faults_of(name, passage), *way)
                runs += 1
                deaths += died
                if wrong:
                    failed.append(name)
                    print(f"{faults_of(name, passage)} {' '.join(sum(way, []))}: {wrong}", flush=True)
                if died < 1 and not wrong:
                    break  # nor does it pass there more often
        if deaths == 0:
            never.append(name)
    print(f"{runs} runs, {len(points)} points, {len(failed)} runs failed, {left_out} left out; "
          f"never reached: {' '.join(never) or '-'}")
    if failed:
        raise SystemExit("FAILED: " + " ".join(sorted(set(failed))))


main()
