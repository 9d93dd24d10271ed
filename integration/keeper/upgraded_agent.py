#!/usr/bin/env python3
"""upgraded_agent.py FAKE_RUNTIME PROGRAMS [CHECK...]: another build takes over from an agent. Each check names
itself."""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import keeper
from agents import Agent, checker, lib
from keeper import ended, expect, say

PROGRAMS = sys.argv[2]
NEXT = f"{PROGRAMS}/shmvisor_next"


def containers_notice_a_pause_only():
    """Each holds all results against what it knows: alone, in a group over two IPC namespaces, in a user namespace, and
    of an inner IPC namespace."""
    agent = Agent("--serve-group", "pair", "--name", "upgraded")
    host = subprocess.Popen([keeper.SHMVISOR, "run", "--join", "name:pair", "--", *checker(9000)], **keeper.PIPES)
    expect("begin", "ready", say(host))
    all_of_them = [
        agent.container("alone", checker(100)),
        agent.container("one", checker(200, 9000), "group=pair"),
        agent.container("two", checker(300, 9000), "group=pair", ["unshare", "--ipc"]),
        agent.container("mapped", checker(400), "", ["unshare", "--user", "--map-root-user", "--ipc"]),
        agent.container("inner", ["unshare", "--ipc", *checker(500)]),
        host,
    ]
    for one in all_of_them[:-1]:
        expect("begin", "ready", say(one))
    for number in range(12):
        said = agent.client("upgrade", "--to", NEXT if number % 2 == 0 else keeper.SHMVISOR)
        expect(f"upgrade: {said}", True, " -> " in said)
        time.sleep(random.uniform(0, 0.2))
        if number % 3 == 0:
            agent.die()
        late = agent.container(f"late{number}", ["ipcmk", "-M", "10"])
        expect("a container that begins", "Shared", ended(late, "a container").split()[0])
    for one in all_of_them:
        ended(one, "a checker")
    expect("the agent's status", 0, agent.stop())
    expect("its socket", False, os.path.exists(agent.path))


def by_a_signal():
    shutil.copy(keeper.SHMVISOR, "installed")
    agent = Agent("--name", "signalled", program=os.path.abspath("installed"))
    holder = agent.container("holder", ["bash", "-c", "ipcmk -M 10; read -r _; ipcmk -M 10"])
    expect("begin", "Shared memory id: 0", say(holder))
    shutil.copy(NEXT, "installed.new")
    os.rename("installed.new", "installed")
    agent.process.send_signal(signal.SIGUSR2)
    keeper.wait_for("no upgrade", lambda: "takes over" in agent.log())
    expect("the next one", "Shared memory id: 1", ended(holder, "the container").strip())
    expect("its program", os.path.abspath("installed"), os.readlink(f"/proc/{agent.process.pid}/exe"))
    agent.process.send_signal(signal.SIGHUP)
    expect("the agent's status", 0, agent.stop())


def a_signal_in_vain():
    """Without a control socket the log and the audit tell of it."""
    shutil.copy(keeper.SHMVISOR, "vain")
    agent = Agent("--audit", "./audit", "--audit-format", "json", program=os.path.abspath("vain"))
    shutil.copy("/bin/true", "vain.new")
    os.rename("vain.new", "vain")
    agent.process.send_signal(signal.SIGUSR2)
    keeper.wait_for("no refusal", lambda: "this program goes on" in agent.log())
    keeper.wait_for("no record", lambda: any(json.loads(line)["event"] == "upgrade"
                                             for line in pathlib.Path("audit").read_text().splitlines()))
    expect("the agent's status", 0, agent.stop())


def without_a_keeper():
    agent = lib.Agent(os.getcwd())
    agent.wait_for_socket()
    agent.process.send_signal(signal.SIGUSR2)
    keeper.wait_for("no word", lambda: "no --keeper" in agent.log())
    expect("the agent's status", 0, agent.stop())


keeper.carry_out(by_a_signal, a_signal_in_vain, without_a_keeper, containers_notice_a_pause_only, arguments=2)
