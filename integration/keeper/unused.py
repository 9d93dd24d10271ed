#!/usr/bin/env python3
"""unused.py: segments that are restored or loaded, and that nobody has had yet, stay where the
server dies, also where shmvisor removes what its users leave behind. Each check names itself."""
import subprocess

import keeper
from keeper import expect

BYTES = b"what nobody has had yet"
# The search for orphans takes two looks, and a server may be slow to begin with them.
SHOW = "echo begun; read -r _; sleep 5; ipcs -m | grep -c '^0x0*7[78] '"


def there_after_a_death(cleanup, options, load):
    options = ["--cleanup", cleanup, "--control", "./c.sock", *options]
    run = keeper.start(
        options, ["bash", "-c", SHOW], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    expect("begin", "begun", run.stdout.readline().strip())
    if load:
        loading = [keeper.SHMVISOR, "load", "--control", "./c.sock", "--key", "0x78"]
        subprocess.run(loading, input=BYTES, check=True, stdout=subprocess.DEVNULL)
    before = keeper.wait_for("no server", lambda: keeper.server_of(run.pid))
    keeper.kill_server(run.pid)
    keeper.next_server(run.pid, before)
    shown, _ = run.communicate("\n", timeout=keeper.BOUND_SECONDS)
    return shown.split()[-1]


def restored_ones_stay():
    keyed = "import sysv_ipc; sysv_ipc.SharedMemory(0x77, sysv_ipc.IPC_CREX, size=4096)"
    made = [keeper.SHMVISOR, "run", "--save-at-end", "saved", "--", "/usr/bin/python3", "-c", keyed]
    subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
    for cleanup in ("orphaned", "rmid-forced"):
        shown = there_after_a_death(cleanup, ["--restore", "saved"], load=False)
        expect(f"{cleanup}: restored", "1", shown)


def loaded_ones_stay():
    for cleanup in ("orphaned", "rmid-forced"):
        expect(f"{cleanup}: loaded", "1", there_after_a_death(cleanup, [], load=True))


keeper.carry_out(restored_ones_stay, loaded_ones_stay)
