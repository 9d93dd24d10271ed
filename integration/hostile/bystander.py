"""bystander.py FOLDER MODE ATTACK ATTACKER FAKE_RUNTIME [OPTION...]: what a process that does nothing wrong notices of
an attack, and what is left of it in shmvisor.

MODE      run     both in one run
          joined  the attacker in a run of its own user's that joined
          group   two containers of one group, of one agent
          other   two containers of one agent that share nothing but the agent
ATTACKER  user    another uid, without capabilities; `root` begins with all of them
OPTION    for shmvisor, whatever the mode; or `full`: the attacker takes all segments that there are to be had; or
          `any-table`: the table is measured, and may take any time; or `later`: the bystander comes when the attack
          has made what it attacks with, which takes the CPUs natively too

Under shmvisor no call takes longer than 50 ms, and to read all of /proc/sysvipc/shm not longer than half a second. Where
one does, the same is done natively in the next seconds, in an IPC namespace of its own: the machine may be slow and
busy, and the attack may take its CPUs. What keeps a process there, in a call or on its way back to a CPU, may keep each
wake-up of a call under shmvisor: there and back, and of a thread in between where memory maps are read or ptrace stops
the caller. Slow calls are forgiven where they do not come in each of three rounds. Wrong results, and resources that do
not come back, are not.

HOSTILE_ROUNDS: other than three. HOSTILE_NATIVELY=1: natively in any case, for the figures.
"""
import collections
import contextlib
import itertools
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time

QUIET_SECONDS = 0.4
ATTACK_SECONDS = 3
BOUND_SECONDS = 20
ROUNDS = int(os.environ.get("HOSTILE_ROUNDS", "3"))
BOUND_MICROSECONDS = 50_000
# The table tells of all segments how often each is attached, which is a walk through all processes.
TABLE_BOUND_MICROSECONDS = 500_000
# Wake-ups in a call; in others four. Of a table each page has four.
WAKE_UPS = collections.defaultdict(lambda: 4, {"shmget": 2, "creation": 2, "removal": 2, "table": 16})
NATIVELY_TOO = os.environ.get("HOSTILE_NATIVELY") == "1"
MOST_LOG_LINES = 60
BYSTANDER_UID, ATTACKER_UID = 2000, 65534

folder, mode, attack, attacker, fake_runtime = sys.argv[1:6]
full = ["full"] if "full" in sys.argv[6:] else []
any_table = "any-table" in sys.argv[6:]
before_bystander_seconds = 1.5 if "later" in sys.argv[6:] else 0
options = [option for option in sys.argv[6:] if option not in ("full", "any-table", "later")]
shmvisor = os.environ["SHMVISOR"]


def listens(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
        return visitor.connect_ex(path) == 0


class Failure(Exception):
    """A round that went wrong."""


def as_uid(uid):
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", "--"]


def wait_until(what, condition, seconds=BOUND_SECONDS):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failure(f"it does not happen: {what}")
        time.sleep(0.02)


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


numbers = itertools.count()


def own_cgroup():
    """What starts a command in a cgroup of its own, where one can be made: version 1 has them below /sys/fs/cgroup.
    bystander.sh removes it."""
    for root in ("/sys/fs/cgroup/unified", "/sys/fs/cgroup"):
        path = f"{root}/shmvisor-hostile-{secrets.token_hex(4)}"
        with contextlib.suppress(OSError):
            os.mkdir(path)
            if os.path.exists(f"{path}/cgroup.procs"):
                return ["bash", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', path]
            os.rmdir(path)
    print("    the containers have no cgroups of their own")
    return []


class Stage:
    """A shell that starts what it is told to, wherever `command` puts it."""

    def __init__(self, command, log):
        with open(log, "ab") as errors:
            self.process = subprocess.Popen([*command, "bash", "-s"], stdin=subprocess.PIPE, stderr=errors, cwd=folder)

    def start(self, command):
        """What it prints, and once it has ended its status, come in files of the name returned."""
        name = f"{folder}/stage-{next(numbers)}"
        words = " ".join(command)
        self.process.stdin.write(f"({words} >{name}.out 2>&1; echo $? >{name}.new; mv {name}.new {name}.status) &\n".encode())
        self.process.stdin.flush()
        return name

    def end(self):
        self.process.stdin.close()


class Ground:
    """Where both are: the stages, and the process that serves both."""

    def __init__(self, place):
        self.log = f"{folder}/{place}.log"
        self.server = None
        self.stages = []
        open(self.log, "wb").close()
        getattr(self, place)()

    def native(self):
        os.environ.pop("HOSTILE_SOCKET", None)
        self.stages = [Stage(["unshare", "--ipc"], self.log)] * 2

    def run(self):
        self.stages = [Stage([shmvisor, "run", *options, "--"], self.log)] * 2
        self.server = self.stages[0].process

    def joined(self):
        path = f"{folder}/socket-{next(numbers)}"
        first = Stage([shmvisor, "run", *options, "--serve", path, "--"], self.log)
        self.server = first.process
        os.environ["HOSTILE_SOCKET"] = path
        wait_until("it serves", lambda: os.path.exists(path))
        os.chmod(path, 0o666)
        become = as_uid(ATTACKER_UID) if attacker == "user" else []
        self.stages = [first, Stage([*become, shmvisor, "run", "--join", path, "--"], f"{self.log}-joined")]

    def group(self, metadata="group=g", place=list):
        path = f"{folder}/agent-{next(numbers)}"
        with open(self.log, "ab") as errors:
            self.server = subprocess.Popen([shmvisor, "agent", "--socket", path, *options], stderr=errors)
        os.environ["HOSTILE_SOCKET"] = path
        wait_until("the agent listens", lambda: listens(path))
        self.stages = [
            Stage([*place(), fake_runtime, path, name, metadata, "--"], f"{self.log}-{name}")
            for name in ("bystander", "attacker")
        ]

    def other(self):
        self.group("", own_cgroup)

    def measure(self):
        place = f"/proc/{self.server.pid}"
        memory = int(status_of(self.server.pid)["RssAnon"].split()[0])
        return len(os.listdir(f"{place}/fd")), len(os.listdir(f"{place}/task")), memory

    def descriptors(self):
        """What the server has open, by kind."""
        kinds = collections.Counter()
        for entry in os.listdir(f"/proc/{self.server.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                kinds[re.sub(r"[0-9:].*", "", os.readlink(f"/proc/{self.server.pid}/fd/{entry}"))] += 1
        return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(5))

    def end(self):
        for stage in set(self.stages):
            stage.end()
        if self.server not in [stage.process for stage in self.stages] and self.server is not None:
            self.server.send_signal(signal.SIGTERM)
        processes = {stage.process for stage in self.stages} | {self.server} - {None}
        for process in processes:
            try:
                status = process.wait(BOUND_SECONDS)
            except subprocess.TimeoutExpired:
                raise Failure(f"{process.args[:2]} does not end") from None
            if status != 0:
                raise Failure(f"{process.args[:2]} ends with status {status}")


def status_of(pid):
    """Name, State and the like. Not /proc/PID/stat, which keeps its reader while that process is in an exec."""
    with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as status:
        return dict(line.rstrip("\n").split(":\t", 1) for line in status if ":\t" in line)


def living():
    """The processes of our PID namespace and their names, but for zombies."""
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            status = status_of(entry)
            if status["State"][0] not in "ZX":
                yield int(entry), status["Name"]


def kill_all():
    """But for ourselves and those that wait for us."""
    spared = set()
    pid = os.getpid()
    while pid != 0:
        spared.add(pid)
        pid = int(status_of(pid)["PPid"])
    for _ in range(3):
        for pid, _ in living():
            if pid not in spared:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)


def end_attack(name):
    """Whatever it left: every process of that name in our PID namespace, until there is none."""
    end = time.monotonic() + BOUND_SECONDS
    with contextlib.suppress(Failure):
        wait_until("it ends by itself", lambda: os.path.exists(f"{name}.status"), 1)
    while True:
        left = [pid for pid, name in living() if name.startswith("attack")]
        if not left and os.path.exists(f"{name}.status"):
            return
        if time.monotonic() > end:
            raise Failure(f"the attack does not end: processes {left}")
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def help_with(stage, chore):
    """prime: many threads call, so that whatever is remembered of some is remembered. clean_up: what the attacker's
    processes did not remove goes with its IPC namespace only."""
    name = stage.start([f"{folder}/attack", chore, "5"])
    wait_until(chore, lambda: os.path.exists(f"{name}.status"))


def bystand(stage, seconds):
    return stage.start([*as_uid(BYSTANDER_UID), f"{folder}/bystander", str(seconds), *full])


def outcome(name):
    """The worst and the p99 of each kind of call, in microseconds."""
    wait_until("the bystander ends", lambda: os.path.exists(f"{name}.status"), ATTACK_SECONDS + BOUND_SECONDS)
    text = read(f"{name}.out")
    if read(f"{name}.status").strip() != "0":
        raise Failure(f"the bystander: {text}")
    rows = [line.split() for line in text.splitlines()]
    return {words[0]: (int(words[4]), int(words[6]), int(words[2])) for words in rows}


def round_on(place):
    """What the bystander saw of one attack there."""
    try:
        return attack_on(Ground(place))
    except (Failure, OSError) as failure:
        raise Failure(f"{place}: {failure}") from None


def attack_on(ground):
    first, second = ground.stages
    help_with(second, "prime")
    quiet = outcome(bystand(first, QUIET_SECONDS))
    before = ground.measure() if ground.server else None
    become = as_uid(ATTACKER_UID) if attacker == "user" and mode != "joined" else []
    name = second.start([*become, f"{folder}/attack", attack, str(before_bystander_seconds + ATTACK_SECONDS)])
    time.sleep(before_bystander_seconds)
    seen = outcome(bystand(first, ATTACK_SECONDS))
    end_attack(name)
    if read(f"{name}.status").strip() == "77" and ground.server:
        print(f"SKIPPED: {read(f'{name}.out').strip()}")
        sys.exit(77)
    said = read(f"{name}.out").strip()
    if said:
        print(f"    the attack says: {said[:600]}")
    help_with(second, "clean_up")
    if ground.server:
        check_rest(ground, before)
    ground.end()
    log = read(ground.log).splitlines()
    if log:
        print(f"    {len(log)} lines in the log, such as: {log[-1][:300]}")
    if len(log) > MOST_LOG_LINES:
        raise Failure(f"{len(log)} lines in the log")
    return quiet, seen


def check_rest(ground, before):
    """The server is as small as it was: but for three threads that may stay parked, and what malloc keeps."""
    def small():
        descriptors, threads, kib = now = ground.measure()
        small.now = now
        return descriptors <= before[0] + 3 and threads <= before[1] + 3 and kib <= before[2] + 6144

    try:
        wait_until("rest", small)
    except Failure:
        raise Failure(
            f"descriptors, threads and KiB of memory: {before} before, {small.now} afterwards: {ground.descriptors()}"
        ) from None


def least_bound(kind):
    return TABLE_BOUND_MICROSECONDS if kind == "table" else BOUND_MICROSECONDS


def bound_of(kind, native):
    """In microseconds. What keeps one natively, whatever it does then, is the scheduler."""
    longest = max((worst for other, (worst, _, _) in native.items() if other != "table"), default=0)
    return max(least_bound(kind), WAKE_UPS[kind] * longest)


def show(quiet, seen, native):
    for kind, (worst, p99, count) in seen.items():
        base = f"; natively {native[kind][0] / 1000:.2f}" if kind in native else ""
        before = f"; before it {quiet[kind][0] / 1000:.2f}" if kind in quiet else ""
        print(f"  {kind:9} {count:6} calls, worst {worst / 1000:9.2f} ms, p99 {p99 / 1000:7.2f} ms{before}{base}")
    sys.stdout.flush()


def slow_calls(seen, native):
    # How late sleepers wake is no call's time.
    measured_only = {"wake-up", "table"} if any_table else {"wake-up"}
    for kind, (worst, _, _) in seen.items():
        bound = bound_of(kind, native)
        if kind not in measured_only and worst > bound:
            yield f"{kind} took {worst / 1000:.1f} ms, bound {bound / 1000:.1f}"


def main():
    print(f"== {attack}, by {attacker}, {mode}", flush=True)
    failures = []
    for _ in range(ROUNDS):
        try:
            quiet, seen = round_on(mode)
            native = round_on("native")[1] if NATIVELY_TOO or any(slow_calls(seen, {})) else {}
        except Failure as failure:
            kill_all()
            sys.exit(f"FAILED: {attack}, {mode}: {failure}")
        show(quiet, seen, native)
        slow = "; ".join(slow_calls(seen, native))
        if not slow:
            return
        failures.append(slow)
    sys.exit(f"FAILED: {attack}, {mode}, in each of {ROUNDS} rounds: " + " | ".join(failures))


main()
