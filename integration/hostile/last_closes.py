"""last_closes.py FOLDER [OPTION of run]: see last_closes.sh.

last_closes.py FOLDER visit SOCKET: connects as an attacker, sends what nobody can close at once, and goes.
last_closes.py FOLDER stuck SOCKET: joins with a listener that nobody can close at all, and ends."""
import array
import ctypes
import fcntl
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import time

from seen_lines import lines_of

LINGER_SECONDS = 8
ATTACKER_UID = 65534
VISITS = 12
SYS_EPOLL_WAIT = 232
SYS_USERFAULTFD, UFFDIO_API, UFFDIO_REGISTER = 323, 0xC018AA3F, 0xC020AA00
folder = sys.argv[1]
path = f"{folder}/socket"
log = f"{folder}/seen"
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p


def become_attacker():
    os.setgroups([])
    os.setresgid(ATTACKER_UID, ATTACKER_UID, ATTACKER_UID)
    os.setresuid(ATTACKER_UID, ATTACKER_UID, ATTACKER_UID)
    libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, as after an exec


def lingering():
    """A TCP connection whose last close waits for its peer, which reads nothing."""
    listening = socket.create_server(("127.0.0.1", 0))
    end = socket.create_connection(listening.getsockname())
    peer = listening.accept()[0]
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, LINGER_SECONDS))
    end.setblocking(False)
    try:
        while True:
            end.send(bytes(65536))
    except BlockingIOError:
        pass
    return end, peer


def visit():
    """Alone, and behind a message that takes the server a moment."""
    become_attacker()
    peers = []
    for number in range(VISITS):
        end, peer = lingering()
        peers.append(peer)
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        connection.connect(path)
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [end.fileno()]))]
        connection.sendmsg([b"x"], rights)
        try:
            if number % 3 != 0:
                connection.sendmsg([b"y"], rights)
        except BrokenPipeError:
            pass  # the server was faster
        connection.close()
        end.close()
    print("ready", flush=True)
    sys.stdin.read()


def wait_in_epoll(epoll):
    """In memory whose page does not come."""
    faults = libc.syscall(SYS_USERFAULTFD, os.O_CLOEXEC)
    if faults < 0:
        os._exit(77)
    page = libc.mmap(None, 4096, 3, 0x22, -1, 0)
    try:
        fcntl.ioctl(faults, UFFDIO_API, struct.pack("QQQ", 0xAA, 0, 0))
        fcntl.ioctl(faults, UFFDIO_REGISTER, struct.pack("QQQQ", page, 4096, 1, 0))
    except OSError:
        print("not allowed", flush=True)
        os._exit(77)
    become_attacker()
    libc.prctl(1, signal.SIGKILL, 0, 0, 0)  # PR_SET_PDEATHSIG
    print("ready", flush=True)
    libc.epoll_wait(epoll, ctypes.c_void_p(page), 1, -1)
    os._exit(0)


def stuck():
    """Its listener is in the epoll of a process that lives on, not under the filter."""
    sys.argv[1:] = ["7"]
    import attacker  # its main() does nothing then
    with select.epoll() as epoll:
        ready = os.eventfd(1)
        epoll.register(ready, select.EPOLLIN)
        go, begin = os.pipe()
        waiter = os.fork()
        if waiter == 0:
            os.read(go, 1)
            wait_in_epoll(epoll.fileno())
        joiner = os.fork()
        if joiner == 0:
            become_attacker()
            connection, listener = attacker.join(path)
            epoll.register(listener, select.EPOLLIN)
            os.close(listener)  # the server's is the last now
            os.write(begin, b"x")
            wait_until("the epoll is stuck", lambda: system_call_of(waiter) == SYS_EPOLL_WAIT)
            os._exit(0)
        joined = os.waitpid(joiner, 0)[1] == 0
    print("over" if joined else "failed", flush=True)
    sys.stdin.read()
    os.kill(waiter, signal.SIGKILL)


def command():
    """Writes when each SIGTERM came, and goes on until SIGUSR1."""
    with open(log, "w", encoding="ascii") as seen:

        def note(text):
            seen.write(f"{text}\n")
            seen.flush()

        signal.signal(signal.SIGTERM, lambda *_: note(time.monotonic()))
        signal.signal(signal.SIGUSR1, lambda *_: sys.exit(0))
        note(os.getpid())
        while True:
            signal.pause()


def fail(text):
    sys.exit(f"FAILED: {text}")


def wait_until(what, condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            fail(f"it does not happen: {what}")
        time.sleep(0.005)


def seconds_of_join():
    begin = time.monotonic()
    join = [os.environ["SHMVISOR"], "run", "--join", path, "--proc=off", "--log-level=off", "--", "true"]
    if subprocess.run(join, timeout=60, check=False).returncode != 0:
        fail("a bystander cannot join")
    return time.monotonic() - begin


def seconds_of_signal(run):
    before = len(lines_of(log))
    begin = time.monotonic()
    run.send_signal(signal.SIGTERM)
    wait_until("a SIGTERM arrives", lambda: len(lines_of(log)) > before, 60)
    return float(lines_of(log)[before]) - begin


def measure(run):
    return max(seconds_of_join() for _ in range(3)), max(seconds_of_signal(run) for _ in range(3))


def system_call_of(pid):
    try:
        with open(f"/proc/{pid}/syscall", encoding="ascii") as file:
            word = file.read().split()[0]
    except PermissionError:
        return None  # it is root's still
    return int(word) if word.isdecimal() else None


def closing(states):
    """The children of servers that close files just now, and are in one of these states."""
    found = 0
    for pid in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/status", encoding="ascii") as status:
                text = status.read()
        except OSError:
            continue
        found += text.startswith("Name:\tshmvisor-close\n") and text.split("State:\t")[1][0] in states
    return found


def server_of(run):
    """The process that serves: of a keeper, its child."""
    for pid in os.listdir("/proc"):
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii") as name, open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                if name.read().strip() == "shmvisor-server" and int(stat.read().rpartition(")")[2].split()[1]) == run.pid:
                    return int(pid)
        except (OSError, ValueError):
            pass
    return run.pid


def counts(run):
    server = server_of(run)
    return {kind: len(os.listdir(f"/proc/{server}/{kind}")) for kind in ("task", "fd")}


def attack(*words):
    process = subprocess.Popen([sys.executable, "-B", sys.argv[0], folder, *words], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def main():
    options = sys.argv[2:]
    if os.path.exists(log):
        os.unlink(log)
    run = subprocess.Popen([os.environ["SHMVISOR"], "run", "--serve", path, "--log-level=off", *options, "--",
                            sys.executable, "-B", sys.argv[0], folder, "command"])
    wait_until("the command begins", lambda: len(lines_of(log)) > 0 and os.path.exists(path))
    os.chmod(path, 0o666)
    before = measure(run)
    time.sleep(1.5)
    at_rest = counts(run)

    visitor, word = attack("visit", path)
    if word != "ready":
        fail("no loopback")
    wait_until("closes wait for a peer", lambda: closing("SD") > 0)
    during = measure(run)
    print("seconds of a join and of a SIGTERM: before", before, "during", during)
    for name, one, other in zip(("a join", "a SIGTERM"), before, during):
        if other > max(1.5, 4 * one):
            fail(f"{name} takes {other:.2f} s")

    holder, word = attack("stuck", path)
    if word == "ready":
        word = holder.stdout.readline().strip()
        if word != "over":
            fail("the attacker cannot join")
        wait_until("a close is stuck", lambda: closing("D") > 0)
        during = measure(run)
        if closing("D") == 0:
            fail("nothing was stuck")
        print("with a listener that cannot be closed:", during)
        for name, one, other in zip(("a join", "a SIGTERM"), before, during):
            if other > max(1.5, 4 * one):
                fail(f"{name} takes {other:.2f} s")
    elif word == "not allowed":
        print("not tried: userfaultfd(2) is not allowed")
        holder.communicate("")
        holder = None
    else:
        fail(f"the attacker cannot join: {word}")
    if "--keeper" in options:
        os.kill(server_of(run), signal.SIGKILL)
        begin = time.monotonic()
        seconds_of_join()
        if time.monotonic() - begin > 5:
            fail(f"the next server takes {time.monotonic() - begin:.2f} s")
    visitor.communicate("")
    grows = {"task": 3, "fd": 4}
    if holder is not None and "--keeper" not in options:
        # The end of the run does not wait for the attacker, who goes on.
        os.kill(int(lines_of(log)[0]), signal.SIGUSR1)
        begin = time.monotonic()
        if run.wait(60) != 0:
            fail(f"status {run.returncode}")
        print(f"the run ends in {time.monotonic() - begin:.2f} s")
        if time.monotonic() - begin > 5:
            fail(f"the run ends after {time.monotonic() - begin:.2f} s")
        holder.communicate("")
        return
    if holder is not None:
        holder.communicate("")
    wait_until("threads and descriptors come back",
               lambda: all(now <= at_rest[kind] + grows[kind] for kind, now in counts(run).items()), 40)
    os.kill(int(lines_of(log)[0]), signal.SIGUSR1)
    if run.wait(60) != 0:
        fail(f"status {run.returncode}")


if len(sys.argv) > 2 and sys.argv[2] == "command":
    command()
elif len(sys.argv) > 2 and sys.argv[2] == "visit":
    visit()
elif len(sys.argv) > 2 and sys.argv[2] == "stuck":
    stuck()
else:
    main()
