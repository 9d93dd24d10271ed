"""What the tests of a run with a keeper share: the run, its processes, and their ends."""
import os
import pathlib
import signal
import subprocess
import sys
import time

SHMVISOR = os.environ.get("SHMVISOR", "")
BOUND_SECONDS = 60
GONE_ON = "was ended by signal 9: another one goes on"
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}


def children(pid):
    return [int(one) for one in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def server_of(keeper):
    """The pid of the keeper's server; None while there is none."""
    try:
        servers = [pid for pid in children(keeper) if name_of(pid) == "shmvisor-server"]
    except OSError:
        return None
    return servers[0] if servers else None


def wait_for(what, condition):
    deadline = time.monotonic() + BOUND_SECONDS
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise SystemExit(f"FAILED: {what}")
        time.sleep(0.001)


def kill_server(keeper, sign=signal.SIGKILL):
    """Ends the present server. False where the run has ended meanwhile."""
    server = server_of(keeper)
    if server is None:
        return False
    try:
        os.kill(server, sign)
    except ProcessLookupError:
        return False
    return True


def next_server(keeper, after):
    return wait_for("no next server", lambda: (server_of(keeper) or after) != after and server_of(keeper))


def die(keeper):
    """The server dies, and the next one is there. False where the run has ended meanwhile."""
    before = wait_for("no server", lambda: server_of(keeper))
    if not kill_server(keeper):
        return False
    next_server(keeper, before)
    return True


def say(process):
    """Its next line."""
    line = process.stdout.readline().strip()
    if not line:
        raise SystemExit(f"FAILED: it says nothing: {process.communicate()}")
    return line


def ended(process, what, answer="\n"):
    """What it has said until it ended as it should, behind that answer."""
    out, log = process.communicate(input=answer, timeout=BOUND_SECONDS)
    expect(f"{what}: status, log; {out}", (0, ""), (process.returncode, log))
    return out


def start(options, command, **more):
    return subprocess.Popen([SHMVISOR, "run", "--keeper", *options, "--", *command], **more)


def expect(what, wanted, got):
    if wanted != got:
        raise SystemExit(f"FAILED: {what}: wanted {wanted!r}, got {got!r}")


def carry_out(*checks, arguments=1):
    """Runs the checks that are named behind so many arguments; where none is named, all."""
    os.environ.pop("SHMVISOR_KEEPER", None)
    named = sys.argv[1 + arguments:]
    for check in checks:
        if named and check.__name__ not in named:
            continue
        print(check.__name__, flush=True)
        check()
