#!/usr/bin/env python3
"""ends.py PROGRAMS: what a run with a keeper ends with, and what goes on when one of its two
processes ends. Each check names itself."""
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import keeper
from keeper import expect

PROGRAMS = sys.argv[1]
QUIET = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def is_pending(number, pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return any(int(line.split()[1], 16) >> (number - 1) & 1 for line in status if line[3:6] == "Pnd")


def shell(script, options=(), **more):
    return keeper.start(options, ["bash", "-c", script], **{**QUIET, **more})


# Says each signal that it gets. A shell forgets what comes while its trap still runs.
SAYER = """
import signal
taken = {signal.SIGTERM, signal.SIGUSR1, signal.SIGINT}
signal.pthread_sigmask(signal.SIG_BLOCK, taken)
print("begun", flush=True)
while True:
    print(signal.sigwaitinfo(taken).si_signo, flush=True)
"""


def say(run):
    """The next line of the command."""
    return run.stdout.readline().strip()


def die_once(run):
    """The server dies, and the next one is there."""
    before = keeper.wait_for("no server", lambda: keeper.server_of(run.pid))
    keeper.kill_server(run.pid)
    return keeper.next_server(run.pid, before)


def exit_statuses():
    for script, status in (("exit 0", 0), ("exit 7", 7), ("kill -9 $$", 137)):
        expect(script, status, shell(script).wait(keeper.BOUND_SECONDS))
    for command, status in (("/nowhere", 127), ("/etc/passwd", 126)):
        run = keeper.start([], [command], **QUIET)
        _, log = run.communicate(timeout=keeper.BOUND_SECONDS)
        expect(command, status, run.returncode)
        expect(f"{command}: log", 1, log.count("cannot run"))
    run = shell("echo begun; read -r _; exit 9", stdin=subprocess.PIPE)
    say(run)
    die_once(run)
    run.stdin.write("\n")
    run.stdin.flush()
    expect("after a death", 9, run.wait(keeper.BOUND_SECONDS))
    run = shell("echo begun; exec 1>&-; sleep 0.3; exit 5")
    say(run)
    keeper.kill_server(run.pid)
    expect("at a death", 5, run.wait(keeper.BOUND_SECONDS))


def signals_are_passed_on():
    run = keeper.start([], [sys.executable, "-c", SAYER], start_new_session=True, **QUIET)
    expect("begin", "begun", say(run))
    for number in (signal.SIGTERM, signal.SIGUSR1):
        die_once(run)
        run.send_signal(number)
        expect("signal", str(int(number)), say(run))
    # For the group: the command gets it once, by itself.
    die_once(run)
    os.killpg(run.pid, signal.SIGINT)
    expect("signal for the group", "2", say(run))
    # Two of a kind that wait at the same time are one, signal(7).
    keeper.wait_for("the keeper takes its signal", lambda: not is_pending(signal.SIGINT, run.pid))
    run.send_signal(signal.SIGINT)
    expect("signal for the keeper", "2", say(run))
    os.killpg(run.pid, signal.SIGKILL)
    out, _ = run.communicate()
    expect("no more signals", "", out)


def the_keeper_is_killed():
    for options, command_lives in ((), False), (["--no-kill"], True):
        run = shell("echo $$; ipcmk -M 1; exec sleep 1000", options)
        command = int(say(run))
        say(run)
        server = keeper.server_of(run.pid)
        run.kill()
        run.wait()
        keeper.wait_for("the server lives on", lambda pid=server: not alive(pid))
        time.sleep(0.1)
        expect(f"the command, {options}", command_lives, alive(command))
        if command_lives:
            os.kill(command, signal.SIGKILL)


def both_are_killed():
    run = shell("echo $$; exec sleep 1000")
    command = int(say(run))
    server = keeper.wait_for("no server", lambda: keeper.server_of(run.pid))
    os.kill(server, signal.SIGKILL)
    run.kill()
    run.wait()
    keeper.wait_for("the command lives on", lambda: not alive(command))
    expect("the server", False, alive(server))


def killed_at_the_start():
    """Also before the command has its program."""
    for _ in range(20):
        run = shell("ipcmk -M 1; exit 4")
        before = keeper.wait_for("no server", lambda run=run: keeper.server_of(run.pid) or run.poll() is not None)
        if before is not True:
            keeper.kill_server(run.pid)
        out, log = run.communicate(timeout=keeper.BOUND_SECONDS)
        expect("status", 4, run.returncode)
        expect("output", 1, out.count("Shared memory id: 0"))
        expect("log", log.count("\n"), log.count("another one goes on"))


def too_many_deaths():
    run = shell("echo $$; exec sleep 1000")
    command = int(say(run))
    for _ in range(4):
        die_once(run)
    keeper.kill_server(run.pid)
    _, log = run.communicate(timeout=keeper.BOUND_SECONDS)
    expect("status at the fifth death", 125, run.returncode)
    expect("log of the fifth death", 1, log.count("no other one is started"))
    keeper.wait_for("the command lives on", lambda: not alive(command))


def nothing_is_left_open():
    run = shell("echo begun; while ipcs -m >/dev/null && read -r -t 0.001 _ || [ $? -gt 128 ]; do :; done",
                ["--keeper-deaths", "1000000"], stdin=subprocess.PIPE)
    say(run)
    counts = []
    for _ in range(30):
        die_once(run)
        time.sleep(0.05)
        counts.append(len(os.listdir(f"/proc/{run.pid}/fd")))
    run.stdin.close()
    if max(counts[-10:]) > min(counts[:10]) + 8:
        raise SystemExit(f"FAILED: descriptors: {counts}")
    run.kill()
    run.wait()


def files_in_proc():
    """Who reads, writes and has open the files in /proc notices no death."""
    probe = subprocess.run([keeper.SHMVISOR, "run", "--proc=fuse", "true"], check=False, capture_output=True)
    if probe.returncode != 0:
        print("no files in /proc here: not shown")
        return
    run = shell("exec 5</proc/sysvipc/shm; echo 77777 >/proc/sys/kernel/shmmax; ipcmk -M 4097 >&2; echo begun; read -r _;"
                " cat /proc/sys/kernel/shmmax; read -r head <&5; read -r line <&5; set -- $line; echo $4;"
                " ipcs -m | grep -c 4097",
                stdin=subprocess.PIPE)
    expect("begin", "begun", say(run))
    die_once(run)
    die_once(run)
    run.stdin.write("\n")
    run.stdin.flush()
    expect("a limit", "77777", say(run))
    expect("an open file", "4097", say(run))
    expect("ipcs", "1", say(run))
    expect("status", 0, run.wait(keeper.BOUND_SECONDS))
    run = shell("while read -r -t 0.001 _; [ $? -gt 128 ]; do ipcs -m >/dev/null || exit 1;"
                " cat /proc/sys/kernel/shmmni || exit 2; done", ["--keeper-deaths", "1000000"], stdin=subprocess.PIPE)
    for _ in range(40):
        expect("shmmni in a loop", "4096", say(run))
        time.sleep(random.uniform(0, 0.02))
        die_once(run)
    run.stdin.close()
    run.stdin = None
    out, log = run.communicate(timeout=keeper.BOUND_SECONDS)
    expect("ipcs in a loop", 0, run.returncode)
    expect("shmmni at the end", {"4096"}, set(out.split()))
    expect("log", 40, log.count("another one goes on"))


def files_of_a_namespace_inside():
    """A file that was opened in there is no other registry's after a death, whoever has it."""
    outside = "nsenter --ipc=/proc/$PPID/ns/ipc"
    run = shell("ipcmk -M 4097 >&2; cat /proc/sys/kernel/shmmax; unshare -i bash -c '"
                "  ipcmk -M 4098 >&2; exec 5</proc/sysvipc/shm 6</proc/sysvipc/shm 7>/proc/sys/kernel/shmmax;"
                f"  echo begun; read -r _; {outside} cat <&5 >&2; echo $?; {outside} sh -c \"echo 5 >&7\"; echo $?;"
                "   grep -c 4098 <&6; echo 5 >&7; echo $?; cat /proc/sys/kernel/shmmax'; cat /proc/sys/kernel/shmmax",
                stdin=subprocess.PIPE)
    shmmax = say(run)
    expect("begin", "begun", say(run))
    die_once(run)
    run.stdin.write("\n")
    run.stdin.flush()
    out, log = run.communicate(timeout=keeper.BOUND_SECONDS)
    expect(f"what came of it: {log}", ["1", "1", "1", "0", "5", shmmax], out.split())


def in_an_ipc_namespace_of_its_own():
    """--private-ipc: its segments are the server's, its semaphores the kernel's; and the same one further inside."""
    run = shell("readlink /proc/self/ns/ipc; ipcmk -M 4097 >&2; ipcmk -S 1 >&2; unshare -i bash -c '"
                "  ipcmk -M 4098 >&2; echo begun; read -r _; ipcs -m | grep -c 4098; ipcs -m | grep -c 4097';"
                " ipcs -m | grep -c 4097; ipcs -m | grep -c 4098; ipcs -s | grep -c ^0x; readlink /proc/self/ns/ipc",
                ["--private-ipc"], stdin=subprocess.PIPE)
    namespace = say(run)
    if namespace == os.readlink("/proc/self/ns/ipc"):
        raise SystemExit("FAILED: the command has no IPC namespace of its own")
    expect("begin", "begun", say(run))
    die_once(run)
    die_once(run)
    run.stdin.write("\n")
    run.stdin.flush()
    out, _ = run.communicate(timeout=keeper.BOUND_SECONDS)
    expect("what is there", ["1", "0", "1", "0", "1", namespace], out.split())
    expect("status", 0, run.returncode)
    expect("our semaphores", 0, subprocess.run(["ipcs", "-s"], check=True, capture_output=True).stdout.count(b"0x"))


def client(*words):
    return subprocess.run([keeper.SHMVISOR, *words], check=True, capture_output=True, text=True, timeout=60).stdout


def a_configuration_that_was_read_again():
    """Its rules and limits outlive a server, and so do the limits that a client has set since then."""
    def configure(shmmni, denied_size):
        pathlib.Path("run.toml").write_text(f'[limits]\nshmmni = "{shmmni}"\n[[rule]]\ncall = "shmget"\n'
                                            f'size = "{denied_size}-"\naction = "deny"\nerrno = "EPERM"\n')
    configure(9, "8M")
    os.environ["XDG_RUNTIME_DIR"] = os.getcwd()
    makes = "while read -r size; do ipcmk -M $size 2>&1 | tail -n 1; cat /proc/sys/kernel/shmmni; done"
    run = shell(makes, ["--config", "run.toml", "--name", "steered", "--audit", "./audit", "--audit-format", "json"],
                stdin=subprocess.PIPE)

    def make(size):
        run.stdin.write(f"{size}\n")
        run.stdin.flush()
        return "not permitted" in say(run), say(run)

    expect("at the start", (False, "9"), make("4M"))
    configure(7, "2M")
    die_once(run)
    expect("what nobody has asked to read", (False, "9"), make("4M"))
    expect("reload", "", client("reload"))
    expect("a reload", (True, "7"), make("4M"))
    die_once(run)
    expect("after a death", (True, "7"), make("4M"))
    client("set", "--shmmni", "3")
    die_once(run)
    expect("a limit of a client's", (True, "3"), make("4M"))
    pathlib.Path("run.toml").write_text("[limits\n")
    die_once(run)
    expect("a file that has become bad", (False, "3"), make("4M"))
    _, log = run.communicate(timeout=keeper.BOUND_SECONDS)
    expect("what it says of that", 1, log.count("the configuration stays as it was: "))
    expect("status", 0, run.returncode)
    told = [json.loads(line) for line in pathlib.Path("audit").read_text().splitlines()]
    expect("readings in the audit", ["ok", "ok", "ok", "unchanged"],
           [record["result"] for record in told if record["event"] == "reload"])


keeper.carry_out(exit_statuses, signals_are_passed_on, the_keeper_is_killed, both_are_killed, killed_at_the_start,
                 too_many_deaths, nothing_is_left_open, files_in_proc, files_of_a_namespace_inside,
                 in_an_ipc_namespace_of_its_own, a_configuration_that_was_read_again)
