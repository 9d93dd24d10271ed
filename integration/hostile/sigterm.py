"""sigterm.py FOLDER: how long a signal to shmvisor takes until the command has it, beside an attack on what shmvisor
looks at in the background. In between the command gets the same signal directly: what keeps that is the machine.

sigterm.py FOLDER command: the command.
"""
import os
import signal
import subprocess
import sys
import time

from seen_lines import lines_of

SIGNALS = 12
BOUND_SECONDS = 0.5
ATTACKER_UID = 65534
folder = sys.argv[1]
log = f"{folder}/seen"


def as_attacker():
    os.setgroups([])
    os.setresgid(ATTACKER_UID, ATTACKER_UID, ATTACKER_UID)
    os.setresuid(ATTACKER_UID, ATTACKER_UID, ATTACKER_UID)


def command():
    """Writes when each SIGTERM came, and goes on until SIGUSR1."""
    seen = open(log, "w", encoding="ascii")

    def note(*_):
        seen.write(f"{time.monotonic()}\n")
        seen.flush()

    signal.signal(signal.SIGTERM, note)
    signal.signal(signal.SIGUSR1, lambda *_: sys.exit(0))
    attack = subprocess.Popen([f"{folder}/attack", "own_descriptors", "60"], preexec_fn=as_attacker)
    seen.write(f"{os.getpid()}\n")
    seen.flush()
    try:
        while True:
            signal.pause()
    finally:
        attack.kill()


def wait_for_lines(count, seconds):
    end = time.monotonic() + seconds
    while len(lines_of(log)) < count:
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def main():
    run = subprocess.Popen([os.environ["SHMVISOR"], "run", "--", sys.executable, "-B", sys.argv[0], folder, "command"])
    if not wait_for_lines(1, 30):
        sys.exit("FAILED: the command does not begin")
    command_pid = int(lines_of(log)[0])
    time.sleep(2)  # the attacker makes what it attacks with
    worst = {"forwarded": 0.0, "direct": 0.0}
    for number in range(2 * SIGNALS):
        way, pid = ("forwarded", run.pid) if number % 2 == 0 else ("direct", command_pid)
        begin = time.monotonic()
        os.kill(pid, signal.SIGTERM)
        if not wait_for_lines(number + 2, 30):
            sys.exit(f"FAILED: a signal, {way}, does not arrive in 30 s")
        worst[way] = max(worst[way], float(lines_of(log)[number + 1]) - begin)
        time.sleep(0.2)
    os.kill(command_pid, signal.SIGUSR1)
    status = run.wait(30)
    print(f"worst, in ms: forwarded {1000 * worst['forwarded']:.1f}, direct {1000 * worst['direct']:.1f}")
    if status != 0:
        sys.exit(f"FAILED: the run ends with status {status}")
    # Two wake-ups more than a direct signal: the supervisor's and the command's.
    bound = max(BOUND_SECONDS, 4 * worst["direct"])
    if worst["forwarded"] > bound:
        sys.exit(f"FAILED: a forwarded signal took {worst['forwarded']:.2f} s, bound {bound:.2f} s")


if len(sys.argv) > 2:
    command()
else:
    main()
