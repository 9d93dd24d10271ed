#!/usr/bin/env python3
"""full_descriptors.py, supervised, as root: user 65534 takes all the descriptors of the supervisor that it can get,
while user 65533 and root use what they have, and make more."""
import ctypes
import errno
import os
import resource
import struct
import sys
import threading

ATTACKER, BYSTANDER = 65534, 65533
IPC_PRIVATE, IPC_CREAT, IPC_RMID, IPC_STAT = 0, 0o1000, 0, 2
CLONE_NEWIPC, CLONE_NEWUSER = 0x08000000, 0x10000000
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
libc.shmdt.argtypes = [ctypes.c_void_p]


def fail(text):
    print(f"FAILED: {text}", flush=True)
    os._exit(1)


def expect(what, wanted, got):
    if wanted != got:
        fail(f"{what}: wanted {wanted!r}, got {got!r}")


def shmget(size=4096, flags=0o600):
    """An identifier, or an errno negated."""
    made = libc.shmget(IPC_PRIVATE, ctypes.c_size_t(size), IPC_CREAT | flags)
    return made if made >= 0 else -ctypes.get_errno()


def attach(segment):
    address = libc.shmat(segment, None, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        fail(f"shmat: {errno.errorcode[ctypes.get_errno()]}")
    return address


def attaches_of(segment):
    buffer = ctypes.create_string_buffer(256)
    if libc.shmctl(segment, IPC_STAT, buffer) != 0:
        fail(f"IPC_STAT: {errno.errorcode[ctypes.get_errno()]}")
    return struct.unpack_from("Q", buffer, 88)[0]  # struct shmid_ds: shm_nattch


def use(segment, others):
    """As one does; `others`: attaches that stay."""
    for _ in range(20):
        expect("attaches before", others, attaches_of(segment))
        address = attach(segment)
        expect("attaches", others + 1, attaches_of(segment))
        ctypes.c_char.from_address(address).value = b"x"
        expect("shmdt", 0, libc.shmdt(address))
        expect("attaches after", others, attaches_of(segment))


def supervisors_descriptors():
    return len(os.listdir(f"/proc/{os.getppid()}/fd"))


class Child:
    """A process of the user, which does one step of a generator whenever it is told to."""

    def __init__(self, user, steps):
        to_child, self.tell = os.pipe()
        self.hear, to_parent = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.tell)
            os.close(self.hear)
            expect("shmdt of what was inherited", 0, libc.shmdt(kept))
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            step = steps()
            while os.read(to_child, 1) == b"x" and next(step, "over") != "over":
                os.write(to_parent, b"x")
            os._exit(0)
        os.close(to_child)
        os.close(to_parent)

    def step(self, what):
        os.write(self.tell, b"x")
        if os.read(self.hear, 1) != b"x":
            fail(f"{what}: the process has ended")

    def end(self):
        os.close(self.tell)
        os.close(self.hear)
        os.waitpid(self.pid, 0)


existing = shmget(flags=0o666)
kept = attach(existing)


def attack():
    made = []
    while True:
        one = shmget()
        if one < 0:
            expect("the errno of who has its share", errno.ENOSPC, -one)
            break
        made.append(one)
    if len(made) < 3:
        fail(f"the attacker got {len(made)} segments alone")
    yield
    # IPC namespaces, each held by a process; in a user namespace, where it may have them.
    held = []
    for _ in range(30):
        inside, outside = os.pipe()
        pid = os.fork()
        if pid == 0:
            if libc.unshare(CLONE_NEWUSER | CLONE_NEWIPC) == 0:
                shmget()
            os.write(outside, b"x")
            threading.Event().wait()
        os.read(inside, 1)
        os.close(inside)
        os.close(outside)
        held.append(pid)
    # And threads that call, each of which could be remembered.
    threads = [threading.Thread(target=lambda: [shmget() for _ in range(50)]) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yield
    for pid in held:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    for one in made:
        libc.shmctl(one, IPC_RMID, None)
    yield


def well_behaved():
    use(existing, 1)
    own = shmget()
    yield
    # The attacker has its share.
    for _ in range(2):
        if own < 0:
            fail("nothing for others before the attack")
        use(existing, 1)
        use(own, 0)
        another = shmget()
        if another < 0:
            fail(f"another user gets no segment: {errno.errorcode[-another]}")
        expect("IPC_RMID", 0, libc.shmctl(another, IPC_RMID, None))
        yield


before = supervisors_descriptors()
bystander = Child(BYSTANDER, well_behaved)
bystander.step("before")
attacker = Child(ATTACKER, attack)
attacker.step("segments")
bystander.step("beside one who has its share of segments")
attacker.step("namespaces")
bystander.step("beside one who has its share of namespaces")
use(existing, 1)
root_own = shmget()
if root_own < 0:
    fail(f"root gets no segment: {errno.errorcode[-root_own]}")
expect("IPC_RMID of root's", 0, libc.shmctl(root_own, IPC_RMID, None))
attacker.step("the end")
attacker.end()
bystander.end()
# Namespaces are looked after once a second; callers are remembered until others come.
for _ in range(200):
    after = supervisors_descriptors()
    if after <= before + 8 + resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 32:
        break
    threading.Event().wait(0.05)
else:
    fail(f"the supervisor keeps {after} descriptors, not {before}")
print("others were served, and all came back", flush=True)
sys.exit(0)
