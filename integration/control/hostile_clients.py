"""Clients of a control socket that send what is no request, read nothing, or come in crowds, while a
command works: each call of the command is answered, and an honest client gets its answer."""
import json
import os
import random
import resource
import socket
import sys
import time

path = sys.argv[1]
random.seed(7)
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))


def connect():
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    try:
        client.connect(path)
    except (BlockingIOError, ConnectionRefusedError, socket.timeout):
        client.close()
        return None
    return client


def read_lines(client, count):
    text = b""
    while text.count(b"\n") < count:
        got = client.recv(1 << 16)
        if not got:
            break
        text += got
    return text.decode(errors="replace").splitlines()


def honest():
    """Whether somebody who asks properly gets an answer; it may have to come again once."""
    for _ in range(50):
        client = connect()
        if client is None:
            time.sleep(0.05)
            continue
        try:
            client.sendall(b'{"request":"registries"}\n')
            lines = read_lines(client, 2)
            if len(lines) == 2 and json.loads(lines[1]).get("reply") == "registries":
                return True
        except OSError:
            pass
        finally:
            client.close()
        time.sleep(0.05)
    return False


def check(what):
    if not honest():
        sys.exit("nobody is answered beside: " + what)
    print("beside", what)


def half_lines():
    clients = [connect() for _ in range(16)]
    for client in clients:
        client.sendall(b'{"request":"regis')
    check("half lines")
    return clients


def long_line():
    client = connect()
    sent = 0
    try:
        while sent < 100 << 20:
            client.sendall(b"x" * (1 << 16))
            sent += 1 << 16
    except OSError:
        pass
    if sent > 8 << 20:
        sys.exit(f"{sent} bytes of one line were taken")
    check("a line of 100 MB")


def binary():
    for _ in range(200):
        client = connect()
        if client is None:
            continue
        try:
            client.sendall(os.urandom(random.randrange(1, 4000)) + b"\n")
            client.recv(1 << 16)
        except OSError:
            pass
        client.close()
    check("binary")


def reads_nothing():
    clients = []
    for _ in range(8):
        client = connect()
        client.settimeout(0.2)
        try:
            for _ in range(2000):
                client.sendall(b'{"request":"registries"}\n' * 10)
        except OSError:
            pass
        clients.append(client)
    check("clients that read nothing")


def crowd():
    clients = []
    for _ in range(1000):
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        client.connect_ex(path)
        clients.append(client)
    check("a thousand clients")
    for client in clients:
        client.close()


def hammer():
    end = time.monotonic() + 3
    while time.monotonic() < end:
        client = connect()
        if client is None:
            continue
        try:
            client.sendall(b'{"request":"segments","registry":"main"}\n{"request":"processes"}\n' * 30)
            client.recv(100)
        except OSError:
            pass
        client.close()
    check("one that asks all the time")


def loads_without_end():
    """They allocate memory, fill it and stay, leave in the middle, or ask for descriptors and take none."""
    allocate = b'{"request":"allocate","registry":"main","size":1048576,"mode":"0600"}\n'
    stay = [connect() for _ in range(8)]
    for client in stay:
        client.sendall(allocate)
        read_lines(client, 2)
    check("loads that do not end")
    for _ in range(100):
        client = connect()
        if client is None:
            continue
        try:
            client.sendall(allocate * 5 + b'{"request":"open","registry":"main","shmid":0}\n' * 20)
            if random.random() < 0.5:
                client.recv(10)
        except OSError:
            pass
        client.close()
    check("loads that are left in the middle")
    for client in stay:
        client.close()


def detaches_without_end():
    for _ in range(20):
        client = connect()
        if client is None:
            continue
        try:
            client.sendall(b'{"request":"detach","registry":"main","shmid":0,"gives":"SIGBUS"}\n' * 20)
        except OSError:
            pass
        client.close()
    check("detaches")


kept = half_lines()
long_line()
binary()
reads_nothing()
crowd()
hammer()
loads_without_end()
detaches_without_end()
