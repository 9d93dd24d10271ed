#!/usr/bin/env python3
"""upgrade.py PROGRAMS [CHECK...]: another build of shmvisor takes over from a running one. Each check names itself."""
import json
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import keeper
from keeper import SHMVISOR, ended, expect, say

PROGRAMS = sys.argv[1]
NEXT = f"{PROGRAMS}/shmvisor_next"
OURS = subprocess.run([SHMVISOR, "--version"], check=True, capture_output=True, text=True).stdout.split()[1]
NEXTS = "99.0.0"
USER = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", "--inh-caps=-all"]
TAKES_OVER = "takes over"


def client(*arguments, before=()):
    """(status, what it says)"""
    done = subprocess.run([*before, SHMVISOR, *arguments], check=False, capture_output=True, text=True, timeout=60)
    return done.returncode, (done.stdout + done.stderr).strip()


def begin(name, command, *options, **more):
    run = keeper.start(["--name", name, "--keeper-deaths", "1000000", *options], command, **{**keeper.PIPES, **more})
    expect("begin", "begun", say(run))
    return run


def upgrade(name, *to):
    status, said = client("upgrade", "--name", name, *to)
    expect(f"upgrade {to}: {said}", 0, status)
    return said.partition(": ")[2]


def end(run, upgrades, others=()):
    """The run ends as it should; answers what it has said."""
    out, log = run.communicate(input="\n", timeout=keeper.BOUND_SECONDS)
    lines = [line.partition("] ")[2] or line for line in log.splitlines()]
    expect("upgrades in its log", upgrades, sum(TAKES_OVER in line for line in lines))
    expect("its log", list(others), [line for line in lines if TAKES_OVER not in line and keeper.GONE_ON not in line])
    expect("its status", 0, run.returncode)
    return out


def open_files(run):
    return len(os.listdir(f"/proc/{run.pid}/fd"))


def both_directions():
    """The command holds each result against a model while the two builds take turns, and servers die besides."""
    for deaths in (False, True):
        run = begin("both", ["bash", "-c", 'echo begun; exec "$@"', "-", f"{PROGRAMS}/keeper_model", "1000", "1", "3"])
        expect("begin", "ready", say(run))
        upgrade("both", "--to", NEXT)  # what an upgrade alone leaves open is there from now on
        files = open_files(run)
        pauses = []
        for number in range(30):
            if deaths:
                time.sleep(random.uniform(0, 0.1))
                keeper.kill_server(run.pid)
                time.sleep(random.uniform(0, 0.05))
            before, to, now = (NEXTS, SHMVISOR, OURS) if number % 2 == 0 else (OURS, NEXT, NEXTS)
            begun = time.monotonic()
            expect("versions", f"{before} -> {now}", upgrade("both", "--to", to))
            pauses.append(time.monotonic() - begun)
            time.sleep(random.uniform(0, 0.1))
        time.sleep(0.2)
        if open_files(run) > files + 40:  # segments come and go
            raise SystemExit(f"FAILED: {files} descriptors were open, and now {open_files(run)}")
        out = end(run, 31)
        longest = max(int(one) for one in re.findall(r"longest (\d+)", out))
        print(f"upgrades took {min(pauses):.3f} to {max(pauses):.3f} s; the longest call {longest / 1e3:.0f} ms")


def where_it_was_started_from():
    """Without --to the file counts that is there now, as an upgrade of a package leaves it."""
    shutil.copy(SHMVISOR, "installed")
    run = subprocess.Popen(["./installed", "run", "--keeper", "--name", "place", "--", "bash", "-c",
                            "ipcmk -M 10; read -r _; ipcmk -M 10"], **keeper.PIPES)
    expect("begin", "Shared memory id: 0", say(run))
    shutil.copy(NEXT, "installed.new")
    os.rename("installed.new", "installed")
    expect("versions", f"{OURS} -> {NEXTS}", upgrade("place"))
    expect("what is there", True, client("ls", "--name", "place")[1].endswith("0"))
    expect("the next one", "Shared memory id: 1", end(run, 1).strip())


def what_cannot_take_over():
    """The running program goes on, and says why."""
    run = begin("stays", ["bash", "-c", "ipcmk -M 10 >/dev/null; echo begun; read -r _; ipcs -m -i 0 | grep -c bytes=10"])
    shutil.copy(NEXT, "anybody's")
    os.chmod("anybody's", 0o777)
    shutil.copy(NEXT, "strangers")
    os.chown("strangers", 12345, 12345)
    shutil.copy(NEXT, "set-user-id")
    os.chmod("set-user-id", 0o4755)
    pathlib.Path("script").write_text("#!/bin/sh\necho here\n")
    os.chmod("script", 0o755)
    pathlib.Path("text").write_text("no program\n")
    os.chmod("text", 0o755)
    pathlib.Path("sleeper").write_text("")
    refused = [
        ("/bin/true", "is no shmvisor that can be upgraded to"),
        ("/bin/false", "cannot go on"),
        ("nowhere", "No such file or directory"),
        (".", "is no file that can be executed"),
        ("anybody's", "may be written by its group or by others"),
        ("strangers", "neither root's nor of the user that this runs as"),
        ("set-user-id", "set-user-ID"),
        ("text", "cannot be executed"),
        ("sleeper", "Permission denied"),
        ("script", "cannot"),
        (f"{PROGRAMS}/shmvisor_newer", "is of version"),
    ]
    for path, words in refused:
        status, said = client("upgrade", "--name", "stays", "--to", path)
        expect(f"{path}: {said}", (1, True), (status, words in said))
    log_lines = [f"upgrade: {os.path.abspath(path) if not path.startswith('/') else path}" for path, _ in refused]
    # It says that it can go on, and then cannot.
    status, said = client("upgrade", "--name", "stays", "--to", f"{PROGRAMS}/shmvisor_spoilt")
    expect(f"one that cannot begin: {said}", (1, True), (status, "goes on with the program that it had" in said))
    expect("afterwards", f"{OURS} -> {NEXTS}", upgrade("stays", "--to", NEXT))
    out, log = run.communicate(input="\n", timeout=keeper.BOUND_SECONDS)
    expect("its segment", ("1\n", 0), (out, run.returncode))
    for line in log_lines:
        if not any(line in one and "this program goes on" in one for one in log.splitlines()):
            raise SystemExit(f"FAILED: its log has no '{line}': {log}")
    expect("of the one that could not begin", True, "this program cannot go on: the one before it does" in log)


def without_a_keeper():
    run = subprocess.Popen([SHMVISOR, "run", "--name", "alone", "--", "bash", "-c", "echo begun; read -r _"],
                           **keeper.PIPES)
    expect("begin", "begun", say(run))
    status, said = client("upgrade", "--name", "alone", "--to", NEXT)
    expect(said, (1, True), (status, "without --keeper" in said))
    ended(run, "the run")


def what_is_kept():
    """Limits, names, namespaces, files in /proc that are open, attaches, and signals that come later."""
    script = """exec 4</proc/sysvipc/shm; read -r head <&4; ipcmk -M 10 >/dev/null; echo begun
trap 'echo a signal' USR1; while ! read -t 0.1 -r _; do :; done
cat <&4 | wc -l; cat /proc/sys/kernel/shmmni; ipcmk -M 4096; ipcmk -M 4096 2>&1 | grep -o 'No space'
unshare -i ipcmk -M 11"""
    run = begin("kept", ["bash", "-c", script], "--private-ipc", "--shmmni", "7", "--report=report")
    expect("set", (0, ""), client("set", "--name", "kept", "--shmmni", "2"))
    upgrade("kept", "--to", NEXT)
    expect("limits", 2, json.loads(client("limits", "--name", "kept", "--json")[1])["registries"][0]["limits"]["shmmni"])
    run.send_signal(signal.SIGUSR1)
    expect("a signal that the run is sent", "a signal", say(run))
    upgrade("kept", "--to", SHMVISOR)
    out = end(run, 2).splitlines()
    expect("what it says", ["1", "2", "Shared memory id: 1", "No space", "Shared memory id: 0"], out)
    expect("the report", True, "left: shmid 0" in pathlib.Path("report").read_text())


def the_command_ends_meanwhile():
    """Its exit status is not lost, whenever it ends."""
    for number in range(25):
        run = keeper.start(["--name", "ends"], ["bash", "-c", "echo begun; read -r _; exit 7"], **keeper.PIPES)
        expect("begin", "begun", say(run))
        with subprocess.Popen([SHMVISOR, "upgrade", "--name", "ends", "--to", NEXT], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as upgrading:
            time.sleep(number * 0.004)
            run.communicate(input="\n", timeout=keeper.BOUND_SECONDS)
            expect("its status", 7, run.returncode)
            upgrading.wait(keeper.BOUND_SECONDS)


def joined_commands():
    """They are another program's children, and one is another user's."""
    os.umask(0)
    place = os.path.abspath("socket")
    run = begin("joined", ["bash", "-c", "echo begun; read -r _"], "--serve", place)
    models = [subprocess.Popen([*before, SHMVISOR, "run", "--join", place, "--", f"{PROGRAMS}/keeper_model", "1000",
                                str(seed), "1", str(seed)], **keeper.PIPES)
              for seed, before in ((1, ()), (2, USER), (3, ["unshare", "-i"]))]
    for model in models:
        expect("begin", "ready", say(model))
    for number in range(8):
        upgrade("joined", "--to", NEXT if number % 2 == 0 else SHMVISOR)
        time.sleep(random.uniform(0, 0.1))
        late = subprocess.Popen([SHMVISOR, "run", "--join", place, "--", "ipcmk", "-M", "10"], **keeper.PIPES)
        expect("who joins later", "Shared", ended(late, "who joins later").split()[0])
    for model in models:
        ended(model, "a model")
    end(run, 8)
    expect("the socket", False, os.path.exists(place))


def an_ordinary_user():
    folder = os.path.abspath("users")
    os.mkdir(folder)
    os.chown(folder, 12345, 12345)
    environment = {**os.environ, "XDG_RUNTIME_DIR": folder}
    run = subprocess.Popen([*USER, SHMVISOR, "run", "--keeper", "--name", "user", "--", "bash", "-c",
                            "ipcmk -M 10 >/dev/null; echo begun; read -r _; ipcmk -M 10"],
                           env=environment, **keeper.PIPES)
    expect("begin", "begun", say(run))
    done = subprocess.run([*USER, SHMVISOR, "upgrade", "--name", "user", "--to", NEXT], check=False, env=environment,
                          capture_output=True, text=True, timeout=60)
    expect("upgrade", (f"{OURS} -> {NEXTS}\n", ""), (done.stdout.partition(": ")[2], done.stderr))
    expect("the next one", "Shared memory id: 1", end(run, 1).strip())


def two_at_once():
    """One is carried out at a time, and each client is told."""
    run = begin("two", ["bash", "-c", "echo begun; read -r _"])
    for _ in range(5):
        both = [subprocess.Popen([SHMVISOR, "upgrade", "--name", "two", "--to", NEXT], stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT, text=True) for _ in range(2)]
        for one in both:
            out, _ = one.communicate(timeout=60)
            if one.returncode not in (0, 1) or not out:
                raise SystemExit(f"FAILED: {one.returncode}: {out}")
        expect("one of them at least", True, any(one.returncode == 0 for one in both))
    out, log = run.communicate(input="\n", timeout=keeper.BOUND_SECONDS)
    expect(f"its status, {log}", 0, run.returncode)


keeper.carry_out(where_it_was_started_from, what_cannot_take_over, without_a_keeper, what_is_kept,
                 an_ordinary_user, two_at_once, joined_commands, the_command_ends_meanwhile, both_directions)
