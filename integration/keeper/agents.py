"""What the tests of an agent with a keeper share: the agent, and a container's program that checks all results."""
import os
import pathlib
import random
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
sys.path.append(str(HERE.parent / "agent"))
import agent as lib  # pylint: disable=wrong-import-position
import keeper
from keeper import expect

FAKE_RUNTIME = sys.argv[1]
SEGMENT = os.path.abspath("segment")


class Agent(lib.Agent):
    def __init__(self, *options, deaths=1000000, program=keeper.SHMVISOR, **more):
        self.folder = os.path.abspath(f"agent-{random.randrange(1 << 30)}")
        os.mkdir(self.folder)
        path = ["--socket", f"{self.folder}/agent.sock"]
        command = [program, "agent", *path, "--keeper", "--keeper-deaths", str(deaths), *options]
        super().__init__(self.folder, command=command, **more)
        self.wait_for_socket()
        keeper.wait_for("no server", lambda: keeper.server_of(self.process.pid))
        self.deaths = 0

    def die(self):
        """The server dies, and the next one is there."""
        self.deaths += keeper.die(self.process.pid)

    def open_files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def container(self, name, command, metadata="", before=()):
        return subprocess.Popen([*before, FAKE_RUNTIME, self.path, name, metadata, "--", *command],
                                **keeper.PIPES)

    def show(self, name, key, metadata="", before=()):
        out, log = self.container(name, [SEGMENT, "show", str(key)], metadata, before).communicate(timeout=60)
        return out.strip() + log

    def client(self, *arguments):
        done = subprocess.run([keeper.SHMVISOR, *arguments, "--pid", str(self.process.pid)], check=False,
                              capture_output=True, text=True, timeout=60)
        return done.stdout + done.stderr

    def other_lines(self):
        return [line for line in self.log().splitlines() if keeper.GONE_ON not in line]

    def end(self, others=()):
        expect("the agent's status", 0, self.stop())
        expect("its log", list(others), [line.partition("] ")[2] or line for line in self.other_lines()])
        expect("deaths in its log", self.deaths, self.log().count(keeper.GONE_ON))
        expect("its socket", False, os.path.exists(self.path))


def checker(*arguments):
    return ["python3", str(HERE / "checker.py"), *map(str, arguments)]
