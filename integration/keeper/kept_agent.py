#!/usr/bin/env python3
"""kept_agent.py FAKE_RUNTIME [CHECK...]: the servers of an agent with a keeper are killed. Each check names itself."""
import contextlib
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

import keeper
from agents import SEGMENT, Agent, checker, lib
from keeper import ended, expect, say

USER = ["setpriv", "--reuid", "1000", "--regid", "1000", "--clear-groups"]


def containers_notice_a_pause_only():
    """Each holds all results against what it knows: alone, in a group over two IPC namespaces, in a user namespace, and
    of an inner IPC namespace."""
    agent = Agent("--serve-group", "pair")
    host = subprocess.Popen([keeper.SHMVISOR, "run", "--join", "name:pair", "--", *checker(9000)],
                            **keeper.PIPES)
    expect("begin", "ready", say(host))
    all_of_them = [
        agent.container("alone", checker(100)),
        agent.container("other", checker(100)),
        agent.container("one", checker(200, 9000), "group=pair"),
        agent.container("two", checker(300, 9000), "group=pair", ["unshare", "--ipc"]),
        agent.container("mapped", checker(400), "", ["unshare", "--user", "--map-root-user", "--ipc"]),
        agent.container("inner", ["unshare", "--ipc", *checker(500)]),
        host,
    ]
    for one in all_of_them[:-1]:
        expect("begin", "ready", say(one))
    deadline = time.monotonic() + 40
    while agent.deaths < 150 and time.monotonic() < deadline:
        time.sleep(random.expovariate(1 / 0.1))
        agent.die()
    print(agent.deaths, "servers died")
    for one in all_of_them:
        print(ended(one, "a checker").strip())
    agent.end()


def who_begins_meanwhile():
    """Whatever the server was about when it died, a container that begins is served; also with a server that is about
    to die."""
    agent = Agent("--serve-group", "g", "--name", "meanwhile")
    holder = agent.container("holder", [SEGMENT, "hold", "5", "of the group"], "group=g")
    expect("begin", "held", say(holder))
    deadline = time.monotonic() + 40
    for number in range(150):
        if time.monotonic() > deadline:
            break
        server = keeper.server_of(agent.process.pid)
        one = agent.container(f"c{number}", ["bash", "-c", "read -r _; exec \"$@\"", "-", SEGMENT, "show", "5"],
                              "group=g", ["unshare", "--ipc"] if number % 2 else ())
        time.sleep(random.uniform(0, 0.03))
        if server is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(server, signal.SIGKILL)
                agent.deaths += 1
                keeper.next_server(agent.process.pid, server)
        expect(f"container {number}", "of the group, mapped 2 times", ended(one, f"container {number}").strip())
    print(agent.deaths, "servers died")
    keeper.wait_for("ended ones are forgotten", lambda: "group:g" in agent.client("ls", "--json"))
    holder.kill()
    holder.wait()
    agent.end()


def a_message_that_nobody_served():
    """It came while the server stood still, as a whole or in part, and is served by the next one."""
    agent = Agent()
    server = keeper.server_of(agent.process.pid)
    os.kill(server, signal.SIGSTOP)
    waiting = agent.container("waiting", ["ipcmk", "-M", "4096"])
    with lib.connect(agent.path) as silent:
        time.sleep(0.2)
        agent.die()
        expect("who waited", "Shared", ended(waiting, "who waited").split()[0])
        # Its connection was in the socket's queue, or accepted: it is open still.
        parts = []

        def sender(listener):
            text = json.dumps(lib.message(container="parts")).encode()
            parts.append(silent)
            lib.send(silent, text, [listener])
            return silent

        process = lib.Contained(sender)
        expect("a call", 0, process.call())
        agent.die()
        expect("a call", 0, process.call())
        process.end()
    agent.end()


def what_is_kept():
    """Limits of metadata, those that an operator sets, names, inner namespaces, and what clients see."""
    agent = Agent("--name", "kept", "--shmmni", "40")
    limited = agent.container(
        "limited", ["bash", "-c", "echo begun; for i in 1 2 3 4; do read -r _; ipcmk -M 10; done"], "shmmni=2")
    expect("begin", "begun", say(limited))
    script = ("ipcmk -M 10; read -r _; ipcmk -M 10; read -r _; exec unshare -i bash -c "
              "'ipcmk -M 11; read -r _; ipcmk -M 11; ipcs -m | grep -c -w 11 || true'")
    plain = agent.container("plain", ["bash", "-c", script])
    expect("begin", "Shared memory id: 0", say(plain))
    agent.die()
    expect("set", "", agent.client("set", "--shmmni", "1", "--registry", "plain"))
    agent.die()
    for _ in range(2):
        limited.stdin.write("\n")
        limited.stdin.flush()
        expect("below its limit", "Shared", say(limited).split()[0])
        agent.die()
    listed = json.loads(agent.client("ls", "--json"))
    expect("registries", [("limited", 0), ("limited", 1), ("plain", 0)],
           sorted((one["registry"], one["shmid"]) for one in listed["segments"]))
    out, log = limited.communicate(input="\n\n", timeout=60)
    expect("beyond its limit", ("", 2), (out, log.count("No space left")))
    plain.stdin.write("\n")
    plain.stdin.flush()
    time.sleep(0.2)
    agent.die()
    plain.stdin.write("\n")
    plain.stdin.flush()
    expect("in a namespace of its own", "Shared memory id: 0", say(plain))
    agent.die()
    out, log = plain.communicate(input="\n", timeout=60)
    expect("the second one there", "Shared memory id: 1", out.splitlines()[0])
    expect("its log", 1, log.count("No space left"))
    agent.end()


def its_own_words():
    """SIGHUP, a service manager, the audit, a socket that was handed over."""
    folder = os.path.abspath("words")
    os.mkdir(folder)
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(f"{folder}/notify.sock")
    manager.settimeout(30)
    pathlib.Path("config.toml").write_text('[limits]\nshmmni = "7"\n')
    agent = Agent("--config", os.path.abspath("config.toml"), "--audit", f"{folder}/audit",
                  "--audit-format", "json", "--name", "words", environment={"NOTIFY_SOCKET": f"{folder}/notify.sock"})
    expect("ready", b"READY=1", manager.recv(100))
    holder = agent.container("holder", ["bash", "-c", "ipcmk -M 10; read -r _; ipcmk -M 10"])
    expect("begin", "Shared memory id: 0", say(holder))
    agent.die()
    pathlib.Path("config.toml").write_text('[limits]\nshmmni = "1"\n[[rule]]\ncall = "shmget"\nsize = "2M-"\n'
                                           'action = "deny"\nerrno = "EPERM"\n')
    agent.process.send_signal(signal.SIGHUP)
    lib.wait_until("it is in force", lambda: '"shmmni": 1' in agent.client("limits", "--json"))
    agent.die()
    limits = "shmmax 18446744073692774399 shmmni 1"
    new = agent.container("new", [SEGMENT, "limits"])
    expect("a new container has the new limits", limits, ended(new, "a new container").strip())
    agent.die()
    out, log = holder.communicate(input="\n", timeout=60)
    expect("an old one, too", (True, ""), ("No space left" in log, out))
    new = agent.container("ruled", ["ipcmk", "-M", "4000000"])
    out, log = new.communicate(timeout=60)
    expect("the rule is in force still", (True, ""), ("not permitted" in log, out))
    agent.process.send_signal(signal.SIGTERM)
    expect("stopping", b"STOPPING=1", manager.recv(100))
    expect("status", 0, agent.wait())
    records = [json.loads(line) for line in pathlib.Path(f"{folder}/audit").read_text().splitlines()]
    told = [record.get("act", record["event"]) for record in records]
    expect("the audit", [1, 1, 3, 3], [told.count(one) for one in ("start", "stop", "served", "ended")])
    # By the signal; each server after that one reads it, too.
    expect("of the reload", (1, 3), (sum(one["event"] == "act" for one in records),
                                     sum(one["event"] == "reload" for one in records)))


def who_joins_while_a_configuration_is_read():
    """The next server reads it first, which takes long here: nobody is served before the segments are back."""
    os.mkdir("long.toml.d")
    pathlib.Path("long.toml").write_text('[limits]\nshmmni = "100"\n')
    for number in range(40):
        pathlib.Path(f"long.toml.d/{number}.toml").write_text("#" * 1000000)
    agent = Agent("--serve-group", "long", "--config", os.path.abspath("long.toml"), "--name", "reads")

    def join(script):
        return subprocess.Popen([keeper.SHMVISOR, "run", "--join", "name:long", "--", "bash", "-c", script],
                                **keeper.PIPES)

    holder = join("ipcmk -M 10; read -r _; ipcrm -m 0")
    expect("begin", "Shared memory id: 0", say(holder))
    expect("reload", "", agent.client("reload"))
    for number in range(1, 4):
        before = keeper.wait_for("no server", lambda: keeper.server_of(agent.process.pid))
        keeper.kill_server(agent.process.pid)
        expect("a newcomer", f"Shared memory id: {number}", ended(join("ipcmk -M 20"), "a newcomer").strip())
        keeper.next_server(agent.process.pid, before)
    ended(holder, "who was there before")
    expect("its status", 0, agent.stop())


def strangers_are_not_taken_back():
    """They have connected, and the server dies about the moment when it would have refused them."""
    agent = Agent()
    os.chmod(agent.folder, 0o755)
    os.chmod(agent.path, 0o666)
    for _ in range(10):
        server = keeper.wait_for("no server", lambda: keeper.server_of(agent.process.pid))
        time.sleep(0.1)
        os.kill(server, signal.SIGSTOP)
        told, tells = os.pipe()
        stranger = os.fork()
        if stranger == 0:
            os.chdir(agent.folder)
            os.setgid(1000)
            os.setuid(1000)
            listener = lib.install_filter()
            connections = []
            for _ in range(200):
                connections.append(socket.socket(socket.AF_UNIX))
                connections[-1].connect("agent.sock")
                lib.send(connections[-1], json.dumps(lib.message(container="evil")).encode(), [listener])
            os.close(listener)
            os.write(tells, b"x")
            signal.alarm(5)
            os._exit(1 if lib.shmget_error() == 0 else 0)
        os.close(tells)
        expect("a stranger", b"x", os.read(told, 1))
        os.close(told)
        os.kill(server, signal.SIGCONT)
        time.sleep(random.uniform(0.0005, 0.008))
        agent.die()
        expect("served", False, os.waitpid(stranger, 0)[1] == 1 << 8)
    expect("its status", 0, agent.stop())


def nothing_is_left_open():
    agent = Agent("--serve-group", "open")
    agent.die()
    counts = []
    for number in range(8):
        kinds = (("", ()), ("group=open", ["unshare", "--ipc"]), ("group=shut", ()))
        some = [agent.container(f"{number}-{one}", ["bash", "-c", "ipcmk -M 1 >/dev/null; echo begun; read -r _"],
                                metadata, before)
                for one, (metadata, before) in enumerate(kinds)]
        for one in some:
            expect("begin", "begun", say(one))
        agent.die()
        for one in some:
            ended(one, "a container")
        agent.die()
        time.sleep(0.2)
        counts.append(agent.open_files())
    # The open group's segments stay: one each time.
    if counts[-1] > counts[0] + 8 + 3:
        raise SystemExit(f"FAILED: descriptors: {counts}: {agent.descriptors()}")
    agent.end()


def five_deaths_end_it():
    agent = Agent(deaths=5)
    holder = agent.container("holder", ["bash", "-c", "ipcmk -M 10; read -r _; ipcmk -M 10 2>&1; true"])
    expect("begin", "Shared memory id: 0", say(holder))
    for _ in range(4):
        agent.die()
    keeper.kill_server(agent.process.pid)
    expect("its status", 125, agent.wait())
    last = agent.log().splitlines()[-2:]
    expect("its log", [True, True], ["death 5 in a minute: no other one is started" in last[0],
                                     "1 container loses service: its shared memory calls fail with ENOSYS" in last[1]])
    expect("its socket", False, os.path.exists(agent.path))
    expect("a call then", True, "not implemented" in ended(holder, "the container"))


def the_keeper_is_killed():
    agent = Agent()
    holder = agent.container("holder", ["bash", "-c", "ipcmk -M 10; read -r _; ipcmk -M 10 2>&1; true"])
    expect("begin", "Shared memory id: 0", say(holder))
    server = keeper.server_of(agent.process.pid)
    agent.stop(signal.SIGKILL)
    lib.wait_until("its server ends", lambda: not os.path.exists(f"/proc/{server}"))
    expect("a call then", True, "not implemented" in ended(holder, "the container"))


def it_ends_while_servers_die():
    for _ in range(5):
        agent = Agent()
        holder = agent.container("holder", ["bash", "-c", "ipcmk -M 10; read -r _"])
        expect("begin", "Shared memory id: 0", say(holder))
        keeper.kill_server(agent.process.pid)
        expect("its status", 0, agent.stop())
        expect("its last word", True, "1 container loses service" in agent.log().splitlines()[-1])
        expect("its socket", False, os.path.exists(agent.path))
        ended(holder, "the container")


keeper.carry_out(five_deaths_end_it, the_keeper_is_killed, it_ends_while_servers_die, a_message_that_nobody_served,
                 what_is_kept, its_own_words, who_joins_while_a_configuration_is_read,
                 strangers_are_not_taken_back, nothing_is_left_open, who_begins_meanwhile,
                 containers_notice_a_pause_only)
