"""Clients of an HTTP server of ours at a URL, "http://HOST:PORT/..." or "unix:PATH": what its tests share."""
import re
import socket


def address_of(url):
    host, port = re.fullmatch(r"http://([^/]*):(\d+)/.*", url).groups()
    return host, int(port)


def connect(url):
    if url.startswith("unix:"):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(30)
        client.connect(url[len("unix:"):])
        return client
    return socket.create_connection(address_of(url), timeout=30)


def everything(client):
    return b"".join(iter(lambda: client.recv(1 << 16), b""))


def ask(url, text):
    """Status, fields and body."""
    with connect(url) as client:
        client.sendall(text)
        head, _, body = everything(client).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:])
    assert int(fields["Content-Length"]) == len(body), fields
    return int(lines[0].split()[1]), fields, body.decode()


def make_crowd(url):
    """A thousand clients that connect, and wait for nothing."""
    crowd = []
    for _ in range(1000):
        client = socket.socket()
        client.setblocking(False)
        client.connect_ex(address_of(url))
        crowd.append(client)
    return crowd
