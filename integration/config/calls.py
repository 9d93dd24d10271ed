"""calls.py WHAT [ARG...]: shm calls for rules.sh, each result printed as a line: a number, or the errno's name."""
import ctypes
import errno
import os
import signal
import sys
import threading
import time

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
FAILED_ATTACH = ctypes.c_void_p(-1).value
IPC_CREAT, IPC_RMID, IPC_STAT = 0o1000, 0, 2


def named(result):
    return errno.errorcode[ctypes.get_errno()] if result in (-1, FAILED_ATTACH) else "ok"


def get(key, size=4096, flags=IPC_CREAT | 0o600):
    return libc.shmget(key, ctypes.c_size_t(size), flags)


def say(*words):
    print(*words, flush=True)


def each_call():
    """One segment of key 0x77 and one of key 0x88, and each call to both."""
    for key in (0x77, 0x88):
        segment = get(key)
        say(hex(key), "shmget", named(segment))
        segment = segment if segment >= 0 else 0
        address = libc.shmat(segment, None, 0)
        say(hex(key), "shmat", named(address))
        buffer = ctypes.create_string_buffer(256)
        say(hex(key), "IPC_STAT", named(libc.shmctl(segment, IPC_STAT, buffer)))
        if address != FAILED_ATTACH:
            result = libc.shmdt(ctypes.c_void_p(address))
            say(hex(key), "shmdt", named(result))
            # Where it was denied the attach is there.
            ctypes.memset(address, 65, 10) if result == -1 else None
        say(hex(key), "IPC_RMID", named(libc.shmctl(segment, IPC_RMID, None)))


def repeat(count):
    """shmget of new private segments, as letters."""
    say("".join("." if get(0) >= 0 else "x" for _ in range(int(count))))


def timed():
    """How long two shmgets take, in milliseconds; the second fails."""
    for _ in range(2):
        began = time.monotonic()
        result = named(get(0x99))
        say(result, int((time.monotonic() - began) * 1000))


def crowd(count):
    """Threads whose calls wait, while this one goes on; then the process is killed in the middle of them."""
    child = os.fork()
    if child == 0:
        for _ in range(int(count)):
            threading.Thread(target=get, args=(0x99,), daemon=True).start()
        time.sleep(1)
        say("waiting", threading.active_count() - 1)
        while True:
            time.sleep(1)
    began = time.monotonic()
    served = 0
    while time.monotonic() - began < 3:
        if get(0x11, 0, 0) == -1 and ctypes.get_errno() == errno.ENOENT:
            served += 1
    say("others were served" if served > 200 else f"others were served only {served} times")
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    say("the delayed ones died", int(time.monotonic() - began < 20))


def users(*counts):
    """Segments of each size as user 1000: shmget's results."""
    if os.getuid() == 0:
        os.setresgid(1000, 1000, 1000)
        os.setresuid(1000, 1000, 1000)
    for size in counts:
        say(size, named(get(0, int(size))))


def follow(folder):
    """A shmget whenever a file NUMBER appears in the folder, and its result in the file NUMBER.done; NUMBER.begun is
    there when it is about to call."""
    number = 0
    while True:
        if os.path.exists(f"{folder}/end"):
            return
        if not os.path.exists(f"{folder}/{number}"):
            time.sleep(0.02)
            continue
        open(f"{folder}/{number}.begun", "w", encoding="utf-8").close()
        result = named(get(0))
        with open(f"{folder}/{number}.part", "w", encoding="utf-8") as done:
            done.write(result)
        os.rename(f"{folder}/{number}.part", f"{folder}/{number}.done")
        number += 1


globals()[sys.argv[1]](*sys.argv[2:])
