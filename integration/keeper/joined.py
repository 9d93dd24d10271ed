#!/usr/bin/env python3
"""joined.py PROGRAMS: the servers of a run with a keeper, which others have joined, are killed. Each check names
itself."""
import os
import random
import subprocess
import sys
import threading
import time

import keeper
from keeper import ended, expect, say

PROGRAMS = sys.argv[1]
USER = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", "--inh-caps=-all"]
SOCKET = os.path.abspath("socket")
# The rows with that number; also what was seen where it is not one.
TABLE_COUNT = '''t=$(ipcs -m); n=$(grep -c -w {} <<<"$t")
[ "$n" = 1 ] || {{ echo "$t"; cat /proc/sysvipc/shm; grep -F sysvipc /proc/self/mountinfo; }}; echo "$n"'''


class Serving:
    """A run that others may join, whose command ends with its input."""

    def __init__(self, script="echo begun; read -r _", options=(), how="--serve"):
        os.umask(0)
        self.run = keeper.start([how, SOCKET, "--keeper-deaths", "1000000", *options], ["bash", "-c", script],
                                **keeper.PIPES)
        expect("begin", "begun", self.run.stdout.readline().strip())
        self.deaths = 0

    def die(self):
        """The server dies, and the next one is there."""
        self.deaths += keeper.die(self.run.pid)

    def open_files(self):
        return len(os.listdir(f"/proc/{self.run.pid}/fd"))

    def end(self):
        out, log = self.run.communicate(input="\n", timeout=keeper.BOUND_SECONDS)
        others = [line for line in log.splitlines() if keeper.GONE_ON not in line]
        expect(f"the run, {others}", (0, self.deaths, []), (self.run.returncode, log.count("another one goes on"), others))
        expect("the socket", False, os.path.exists(SOCKET))
        return out


def join(command, before=(), options=()):
    return subprocess.Popen([*before, keeper.SHMVISOR, "run", "--join", SOCKET, *options, "--", *command],
                            **keeper.PIPES)


def visitors_notice_a_pause_only():
    """They hold each result against a model: two of ours, and one of another user's."""
    serving = Serving()
    models = [join([f"{PROGRAMS}/keeper_model", "1000", str(seed), "1", str(seed)], before)
              for seed, before in ((1, ()), (2, USER), (3, ["unshare", "-i"]))]
    for model in models:
        expect("begin", "ready", say(model))
    while serving.deaths < 100:
        time.sleep(random.expovariate(1 / 0.1))
        serving.die()
    killed = 0
    for model in models:
        out, log = model.communicate(timeout=keeper.BOUND_SECONDS)
        # A caller that is run step by step dies with its server (limits.md); a wrong result is told otherwise.
        dies = (model.returncode, log) == (1, "model: killed by signal 9\n")
        killed += dies
        if not dies:
            expect("a model", (0, ""), (model.returncode, log))
        print(out.strip(), "killed with its server" if dies else "")
    if killed > 1:
        raise SystemExit(f"FAILED: {killed} of {len(models)} models were killed with a server")
    serving.end()


def who_joins_meanwhile():
    """Whatever the server was about when it died, each is served in the end."""
    serving = Serving()
    over = threading.Event()
    deaths_before = 0  # the last visitor was served

    def kill():
        while not over.is_set():
            # On a busy machine a server may need longer than that for its first answer.
            in_vain = serving.deaths - deaths_before
            time.sleep(random.uniform(0.005, 0.08) * (1 + in_vain / 4))
            serving.die()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        for number in range(60):
            before = USER if number % 3 == 0 else ["unshare", "-i"] if number % 3 == 1 else ()
            # Without a namespace of his own a user has no files of ours in /proc.
            count = "echo 1" if before is USER else TABLE_COUNT.format(4096 + number)
            out = ended(join(["bash", "-c", f"ipcmk -M {4096 + number}; {count}"], before), f"visitor {number}")
            expect(f"visitor {number}: {out}", ["Shared", "1"], [out.split()[0], out.split()[-1]])
            deaths_before = serving.deaths
    finally:
        over.set()
        killer.join()
    print(f"{serving.deaths} servers died")
    serving.end()


def what_a_visitor_has():
    """Its files in /proc, also open ones; the namespace that it came from; those that it has made."""
    serving = Serving("ipcmk -M 5001 >/dev/null; echo begun; read -r _; ipcs -m | grep -c -w 5002")
    script = ("exec 5</proc/sysvipc/shm; ipcmk -M 5002 >/dev/null; echo begun; read -r _;"
              " ipcs -m | grep -c -w -e 5001 -e 5002; read -r head <&5; grep -c -w 5001 <&5;"
              " %s ipcs -m | grep -c -w 5001; true")
    visitors = [join(["bash", "-c", script % "unshare -i"], before) for before in ((), ["unshare", "-i"])]
    for visitor in visitors:
        expect("begin", "begun", say(visitor))
    serving.die()
    serving.die()
    found = [ended(visitor, "a visitor").split() for visitor in visitors]
    expect("what is there", [["3", "1", "0"]] * 2, found)
    expect("in the run", "2", serving.end().strip())


def another_users_rights():
    """A visitor of another user may do no more after a death than before."""
    serving = Serving("ipcmk -M 5003 -p 0600 >/dev/null; echo begun; read -r _")
    script = ("try() { ipcrm -m 0 2>/dev/null; echo $?; };"
              " exec 2>/dev/null; try; echo begun; read -r _; try")
    visitor = join(["bash", "-c", script], USER)
    expect("before", "1", say(visitor))
    expect("begin", "begun", say(visitor))
    serving.die()
    expect("after", ["1"], ended(visitor, "a visitor").split())
    serving.end()


def nothing_is_left_open():
    serving = Serving()
    serving.die()
    counts = []
    for _ in range(8):
        visitors = [join(["bash", "-c", "ipcmk -M 1 >/dev/null; echo begun; read -r _; ipcrm -a"], before)
                    for before in ((), USER, ["unshare", "-i"])]
        for visitor in visitors:
            expect("begin", "begun", say(visitor))
        serving.die()
        for visitor in visitors:
            ended(visitor, "a visitor")
        serving.die()
        time.sleep(0.3)  # for files in /proc whose mount has just gone
        serving.die()
        counts.append(serving.open_files())
    if max(counts[-3:]) > min(counts[:3]) + 8:
        raise SystemExit(f"FAILED: descriptors: {counts}")
    serving.end()


def whoever_comes_first_serves():
    """--join-or-serve: with a keeper of its own, also who joins, whose process serves nothing that could be kept."""
    serving = Serving("ipcmk -M 5004 >/dev/null; echo begun; read -r _", how="--join-or-serve")
    script = "ipcs -m | grep -c -w 5004; read -r _; ipcs -m | grep -c -w 5004"
    both = [keeper.start([how, SOCKET], ["bash", "-c", script], **keeper.PIPES)
            for how in ("--join-or-serve", "--join")]
    for one in both:
        expect("the segment", "1", say(one))
        expect("its server", None, keeper.server_of(one.pid))
    serving.die()
    # While there is no server, somebody else comes.
    keeper.kill_server(serving.run.pid)
    serving.deaths += 1
    last = keeper.start(["--join-or-serve", SOCKET], ["bash", "-c", "ipcs -m | grep -c -w 5004"], **keeper.PIPES)
    expect("the segment", "1", ended(last, "who comes then").strip())
    for one in both:
        expect("the segment", "1", ended(one, "who has joined").strip())
    serving.end()
    Serving(how="--join-or-serve").end()


def the_run_ends():
    """Visitors live on: their calls fail as without a keeper, once the keeper is gone."""
    serving = Serving()
    visitor = join(["bash", "-c", "ipcmk -M 1; echo begun; read -r _; ipcmk -M 1 2>&1"])
    say(visitor)
    expect("begin", "begun", say(visitor))
    serving.die()
    serving.run.kill()
    serving.run.wait()
    out, log = visitor.communicate(input="\n", timeout=keeper.BOUND_SECONDS)
    expect("the visitor", True, "not implemented" in out)
    expect("its log", 1, log.count("has ended: from now on"))
    os.unlink(SOCKET)


keeper.carry_out(what_a_visitor_has, another_users_rights, who_joins_meanwhile, nothing_is_left_open,
                 whoever_comes_first_serves, the_run_ends, visitors_notice_a_pause_only)
