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
    """How many descriptors there are that are no segment's: those come and go."""
    def is_other(name):
        try:
            return not os.readlink(f"/proc/{run.pid}/fd/{name}").startswith("/memfd:SYSV")
        except FileNotFoundError:
            return False
    return sum(map(is_other, os.listdir(f"/proc/{run.pid}/fd")))


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
        if open_files(run) > files + 20:  # so do those that calls under way take
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


def by_other_programs():
    """Neither the environment nor a program that says a lot, or nothing, has a say in it."""
    # A number that a stranger gives is none of ours.
    for words in (["ls"], ["run", "--", "true"], ["resume-check", "0", "1", "run"]):
        for value in ("", "0", "0,1", "99,99", "-1,x", "0,0,back"):
            done = subprocess.run([SHMVISOR, *words], check=False, env={**os.environ, "SHMVISOR_RESUME": value},
                                  capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)
            if done.returncode < 0 or "can go on: " in done.stdout:
                raise SystemExit(f"FAILED: SHMVISOR_RESUME={value} {words}: {done}")
    run = begin("talks", ["bash", "-c", "echo begun; read -r _"])
    status, said = client("upgrade", "--name", "talks", "--to", "/usr/bin/yes")
    expect(f"one that fills all that it may write to: {said[:200]}", (1, True), (status, "yes" in said))
    expect("its words", True, len(said) < 2000)
    # The keeper is ended while a program does not answer: that ends, too.
    with subprocess.Popen([SHMVISOR, "upgrade", "--name", "talks", "--to", f"{PROGRAMS}/shmvisor_hanging"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as asking:
        def checkers():
            return [pid for pid in keeper.children(run.pid) if name_of_program(pid) == "shmvisor_hanging"]
        checker = keeper.wait_for("no check", checkers)[0]
        run.kill()
        run.communicate(timeout=keeper.BOUND_SECONDS)
        keeper.wait_for("the check goes on", lambda: not os.path.exists(f"/proc/{checker}"))
        asking.wait(keeper.BOUND_SECONDS)


def name_of_program(pid):
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return ""


def a_configuration():
    """The next program has it as it is now; a program that goes on after all, as it was."""
    pathlib.Path("config").write_text("[limits]\nshmmni = 3\n[run]\nlog-level = 'warning'\n")
    run = begin("configured", ["bash", "-c", "echo begun; read -r _; ipcmk -M 8192; ipcmk -M 10"], "--config", "config",
                "--audit", "./audit", "--audit-format", "json")
    pathlib.Path("config").write_text("[limits]\nshmmni = 3\nno_such_limit = 1\n")
    status, said = client("upgrade", "--name", "configured", "--to", NEXT)
    expect(f"one that cannot be read: {said}", (1, True), (status, "no_such_limit" in said))
    os.remove("config")
    status, said = client("upgrade", "--name", "configured", "--to", NEXT)
    expect(f"one that is not there: {said}", (1, True), (status, "config" in said and "No such file" in said))
    rule = "[[rule]]\ncall = 'shmget'\nsize = '4097-'\naction = 'deny'\nerrno = 'EPERM'\n"
    pathlib.Path("config").write_text("[limits]\nshmmni = 3\n" + rule)
    status, said = client("upgrade", "--name", "configured", "--to", f"{PROGRAMS}/shmvisor_spoilt")
    expect(f"one that cannot begin: {said}", (1, True), (status, "goes on with the program that it had" in said))
    expect("afterwards", f"{OURS} -> {NEXTS}", upgrade("configured", "--to", NEXT))
    out, log = run.communicate(input="\n", timeout=keeper.BOUND_SECONDS)
    expect(f"the rule of the new one, {log}", ("Shared memory id: 0\n", True), (out, "Operation not permitted" in log))
    records = [json.loads(line) for line in pathlib.Path("audit").read_text().splitlines()]
    refusals = [one for one in records if one["event"] == "upgrade"]
    expect("refusals in the audit", ["refused"] * 3, [one["result"] for one in refusals])
    expect("the last", True, refusals[2]["program"].endswith("shmvisor_spoilt"))
    taken = [one for one in records if one["event"] == "takeover"][-1]
    expect("who took over", (NEXTS, 1), (taken["version"], taken["upgrades"]))


def a_configuration_that_warns():
    """A line in the log begins no thread: a keeper has none."""
    rules = "[[rule]]\ncall = 'shmget'\naction = 'allow'\n[[rule]]\ncall = 'shmget'\naction = 'allow'\n"
    pathlib.Path("warns").write_text(rules)
    expect("config check", True, "warning" in client("config", "check", "warns")[1])
    run = begin("warns", ["bash", "-c", "echo begun; read -r _"], "--config", "warns")
    expect("versions", f"{OURS} -> {NEXTS}", upgrade("warns", "--to", NEXT))
    run.communicate(input="\n", timeout=keeper.BOUND_SECONDS)
    expect("its status", 0, run.returncode)


def rights_of_a_file():
    """Where a file gives its program capabilities, the next program has them, and no stranger steers it."""
    capable = subprocess.run(["setcap", "cap_sys_ptrace=ep", shutil.copy(SHMVISOR, "capable")], check=False)
    if capable.returncode != 0:
        print("left out: files may not give capabilities here")
        return
    os.chmod("capable", 0o755)
    folder = os.path.abspath("capables")
    os.mkdir(folder)
    os.chown(folder, 12345, 12345)
    environment = {**os.environ, "XDG_RUNTIME_DIR": folder}
    run = subprocess.Popen([*USER, "./capable", "run", "--keeper", "--name", "capable", "--", "bash", "-c",
                            "ipcmk -M 10 >/dev/null; echo begun; read -r _; ipcmk -M 10"],
                           env=environment, **keeper.PIPES)
    expect("begin", "begun", say(run))

    def ask(program):
        done = subprocess.run([*USER, SHMVISOR, "upgrade", "--name", "capable", "--to", program], check=False,
                              env=environment, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout + done.stderr

    status, said = ask(NEXT)
    expect(f"a file that gives less: {said}", (1, True), (status, "fewer capabilities" in said))
    shutil.copy(NEXT, "capable-next")
    subprocess.run(["setcap", "cap_sys_ptrace=ep", "capable-next"], check=True)
    status, said = ask(os.path.abspath("capable-next"))
    expect(f"upgrade: {said}", (0, True), (status, f"{OURS} -> {NEXTS}" in said))
    sets = dict(line.split(":\t", 1) for line in pathlib.Path(f"/proc/{run.pid}/status").read_text().splitlines()
                if line.startswith("Cap"))
    expect("its capabilities", (0, 1 << 19), (int(sets["CapInh"], 16), int(sets["CapPrm"], 16)))
    out, log = run.communicate(input="\n", timeout=keeper.BOUND_SECONDS)
    expect(f"the next one, {log}", ("Shared memory id: 1\n", 0), (out, run.returncode))
    # What a stranger says is not heard: the program is as it would be without.
    for words in (["resume-check", "0", str(os.getpid()), "run"], ["run", "--", "true"]):
        done = subprocess.run([*USER, "./capable", *words], check=False, capture_output=True, text=True, timeout=60,
                              env={**environment, "SHMVISOR_RESUME": "0,1"}, stdin=subprocess.DEVNULL)
        expect(f"{words}: {done}", (125, True), (done.returncode, "this is for an upgrade alone" in done.stderr))
    # Nor may a program of the user's own hand on what proves that the running one asks.
    pathlib.Path("resume-check").write_text("grep CapInh /proc/self/status >seen; "
                                            f"SHMVISOR_RESUME=$1,97 '{os.path.abspath('capable')}' run -- true 2>>seen\n")
    os.chmod(".", 0o777)
    run = subprocess.Popen([*USER, "./capable", "run", "--keeper", "--name", "capable", "--", "bash", "-c",
                            "echo begun; read -r _"], env=environment, **keeper.PIPES)
    expect("begin", "begun", say(run))
    status, said = ask(os.path.realpath("/bin/sh"))
    expect(f"a shell: {said}", 1, status)
    seen = pathlib.Path("seen").read_text()
    expect(f"what it inherits: {seen}", (True, True), ("CapInh:\t0000000000000000" in seen,
                                                      "this is for an upgrade alone" in seen))
    run.communicate(input="\n", timeout=keeper.BOUND_SECONDS)
    expect("its status", 0, run.returncode)


def servers_die_meanwhile():
    """The client is told what became of its request, whenever the server dies."""
    run = begin("dies", ["bash", "-c", "echo begun; read -r _; ipcmk -M 10"])
    done = 0
    for number in range(24):
        good = number % 3 != 2
        with subprocess.Popen([SHMVISOR, "upgrade", "--name", "dies", "--to", NEXT if good else "/bin/true"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as asking:
            time.sleep(random.uniform(0, 0.08))
            keeper.kill_server(run.pid)
            said, _ = asking.communicate(timeout=keeper.BOUND_SECONDS)
        # The hello of the server that died may not have come.
        if "no run" in said or "has no control socket" in said:
            continue
        words = f"-> {NEXTS}" if good else "is no shmvisor that can be upgraded to"
        if words not in said and not (not good and "its log says why" in said):
            raise SystemExit(f"FAILED: upgrade {number}: {said}")
        done += 1
    expect("most of them", True, done > 12)
    run.communicate(input="\n", timeout=keeper.BOUND_SECONDS)
    expect("its status", 0, run.returncode)


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
    upgraded = 0
    for number in range(25):
        run = keeper.start(["--name", "ends"], ["bash", "-c", "echo begun; read -r _; exit 7"], **keeper.PIPES)
        expect("begin", "begun", say(run))
        with subprocess.Popen([SHMVISOR, "upgrade", "--name", "ends", "--to", NEXT], stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True) as upgrading:
            time.sleep(number * 0.004)
            run.communicate(input="\n", timeout=keeper.BOUND_SECONDS)
            expect("its status", 7, run.returncode)
            upgraded += NEXTS in upgrading.communicate(timeout=keeper.BOUND_SECONDS)[0]
    expect("some upgrades were done by then", True, 0 < upgraded < 25)


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
                 by_other_programs, a_configuration, a_configuration_that_warns, rights_of_a_file, servers_die_meanwhile,
                 an_ordinary_user, two_at_once, joined_commands, the_command_ends_meanwhile, both_directions)
