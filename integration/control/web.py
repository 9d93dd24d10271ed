"""web.py WHAT URL [ARGUMENT]: asks `shmvisor web` at URL, and checks what it answers; see web.sh."""
import json
import os
import re
import resource
import sys
import time

import http_peer

what, url = sys.argv[1:3]
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
HOSTILE = "<img src=x>?&"
CHILD = "</script><b>"


def connect():
    return http_peer.connect(url)


def request(path, host="localhost", method="GET"):
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


def ask(text):
    return http_peer.ask(url, text)


def beside(what):
    """Somebody who asks properly is answered; in a crowd he may have to come again."""
    for _ in range(20):
        try:
            return get_state()
        except (OSError, ValueError, IndexError, KeyError):
            time.sleep(0.1)
    raise AssertionError("nobody is answered beside " + what)


def get_state():
    status, fields, body = ask(request("/state"))
    assert status == 200 and fields["Content-Type"] == "application/json", (status, body)
    return json.loads(body)


def events():
    """Pairs of an event's name and its data, for ever."""
    client = connect()
    client.sendall(request("/events"))
    text = b""
    while b"\r\n\r\n" not in text:
        text += client.recv(1 << 16)
    head, _, text = text.partition(b"\r\n\r\n")
    assert b"Content-Type: text/event-stream\r\n" in head, head
    while True:
        while b"\n\n" in text:
            event, _, text = text.partition(b"\n\n")
            match = re.fullmatch(r"event: ([a-z]+)\ndata: (.*)", event.decode("ascii"))
            yield match[1], json.loads(match[2])
        got = client.recv(1 << 16)
        if not got:
            return
        text += got


def first(name, wanted=lambda data: True):
    for kind, data in events():
        if kind == name and wanted(data):
            return data
    raise AssertionError("no event " + name)


def state():
    seen = get_state()
    assert seen["run"]["kind"] == "run" and seen["run"]["title"].startswith("web (pid "), seen["run"]
    assert seen["run"]["page_bytes"] == os.sysconf("SC_PAGE_SIZE"), seen["run"]
    main = seen["registries"][0]
    assert main["name"] == "main" and main["segments"] == 2 and main["removed_segments"] == 1, main
    assert main["attaches"] == 6 and main["shmmni"] == 7 and main["shmmax"] == 1 << 20, main
    calls = {one["name"]: one for one in main["calls"]}
    assert calls["shmat"]["calls"] == 3 and calls["shmget"]["errors"] >= 0, calls
    segments = {one["shmid"]: one for one in seen["segments"]}
    assert segments[0]["key"] == "0x00000077" and segments[0]["nattch"] == 4 and segments[1]["dest"], segments
    commands = {one["pid"]: one["command"] for one in seen["processes"]}
    names = set(commands.values())
    assert CHILD in names and any(name.startswith("<img src=x>") for name in names), names
    maps = {(commands[one["pid"]][:5], one["shmid"]): one["attaches"] for one in seen["maps"]}
    assert maps["<img ", 0] == 2 and maps["</scr", 1] == 1, maps


def follow():
    batch = first("calls")
    assert batch["lost"] == 0 and batch["calls"], batch
    call = batch["calls"][0]
    assert call["refused"] and call["failed"] and abs(call["time"] - time.time()) < 60, call
    assert "shmget(0x78, 2097152, IPC_CREAT|IPC_EXCL|0600) = -1 EINVAL" in call["line"] or \
           "shmget(0x78, 2097152, IPC_CREAT|0600) = -1 EINVAL" in call["line"], call
    times = []
    for kind, data in events():
        if kind == "state":
            times.append(data["time"])
            if len(times) == 3:
                break
    assert times == sorted(set(times)), times


def fields():
    for path, kind in (("/", "text/html"), ("/app.js", "text/javascript"), ("/style.css", "text/css")):
        status, sent, body = ask(request(path))
        assert status == 200 and sent["Content-Type"].startswith(kind) and body.isascii() or "…" in body, path
        policy = dict(one.strip().split(" ", 1) for one in sent["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'" and policy["script-src"] == "'self'", policy
        assert "unsafe" not in sent["Content-Security-Policy"] and "http" not in sent["Content-Security-Policy"]
        assert policy["frame-ancestors"] == "'none'" and sent["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Origin" not in sent, sent
        # Nothing from elsewhere, and no markup made of text.
        assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", body), path
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "onclick="):
            assert word not in body, (path, word)
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", ""):
        for path in ("/", "/state", "/events"):
            assert ask(request(path, host))[0] == 400, (path, host)
    for host in ("localhost:1234", "127.0.0.1", "[::1]:80"):
        assert ask(request("/", host))[0] == 200, host
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert ask(request("/state", method=method))[0] == 405, method
    assert ask(request("/../etc/passwd"))[0] == 404 and ask(request("/favicon.ico"))[0] == 204
    assert ask(b"GET /state HTTP/1.0\r\n\r\n")[0] == 400  # without Host


def watch():
    for kind, _ in events():
        if kind == "calls":
            open(sys.argv[3], "w").close()
        if os.path.exists(sys.argv[3] + ".seen"):
            return


def hostile():
    streams = [connect() for _ in range(40)]
    for client in streams:
        client.sendall(request("/events"))
    beside("many streams")
    crowd = http_peer.make_crowd(url)
    beside("a thousand clients")
    for client in crowd:
        try:
            client.send(request("/state"))
        except OSError:
            pass
    beside("a thousand that ask")
    for client in crowd + streams:
        client.close()
    for _ in range(50):
        with connect() as client:
            client.sendall(os.urandom(2000))
    beside("binary")


def stopped():
    before = time.monotonic()
    assert ask(request("/"))[0] == 200 and time.monotonic() - before < 20
    # The crowd of before may still be in the queue, and take its place.
    for _ in range(20):
        try:
            status, _, body = ask(request("/state"))
            break
        except (OSError, ValueError, IndexError, KeyError):
            time.sleep(0.5)
    # What was seen less than a second ago, or that it does not answer.
    assert status in (200, 503), body


def end():
    seen = False
    for kind, data in events():
        if kind == "state" and not seen:
            seen = True
            open(sys.argv[3], "w").close()
        if kind == "ended":
            assert re.fullmatch(r"the run web \(pid \d+\) has ended", data["text"]), data
            return
    raise AssertionError("it does not tell of the end")


def database():
    """PostgreSQL, whose parallel queries make and remove segments."""
    seen = get_state()
    assert seen["registries"][0]["segments"] >= 1 and seen["registries"][0]["resident_pages"] > 256, seen
    commands = {one["pid"]: one["command"] for one in seen["processes"]}
    assert "postgres" in {commands[one["pid"]] for one in seen["maps"]}, commands
    lines = []
    for kind, data in events():
        if kind == "calls":
            lines += [one["line"] for one in data["calls"]]
            if any("shmget(" in line for line in lines) and any("IPC_RMID" in line for line in lines):
                return


def browser():
    """In headless Chromium, by WebDriver."""
    import webdriver
    folder = sys.argv[3]
    with webdriver.Browser(folder) as page:
        page.go(url)
        # Some seconds of history, and calls.
        page.wait("return document.querySelectorAll('#calls li').length > 20 "
                  "&& document.querySelectorAll('#rates polyline').length == 4 "
                  "&& document.querySelector('#rates polyline').getAttribute('points').split(' ').length > 4")
        page.picture(os.path.join(folder, "page.png"))
        assert page.run("return document.images.length + document.querySelectorAll('b.x, main b img').length") == 0
        assert page.run("return document.scripts.length") == 1
        text = page.run("return document.querySelector('main').innerText")
        assert "<img src=x>" in text and CHILD in text, text
        assert page.run("return document.querySelectorAll('#graph rect').length") == 4
        assert page.run("return document.querySelectorAll('#graph path').length") == 4
        rows = page.run("return [...document.querySelectorAll('#segments tbody tr')].map(r => r.innerText)")
        assert len(rows) == 2 and "0x00000077" in " ".join(rows) and "removed" in " ".join(rows), rows
        assert page.run("return document.querySelectorAll('#calls li.refused').length") > 20
        for width in (1280, 400, 320):
            page.resize(width, 1500)
            page.wait(f"return window.innerWidth == {width} && "
                      "/ [1-9]/.test(document.querySelector('#rates-legend').innerText)")
            page.picture(os.path.join(folder, f"page-{width}.png"))
            # Numbers as of a busy run, in what is shown now.
            assert page.run("document.querySelectorAll('.legend span').forEach(s => { s.textContent += '.4M'; }); "
                            "return document.documentElement.scrollWidth <= window.innerWidth"), f"wider than {width}"
        # What the policy forbids does not run.
        assert page.run("const s = document.createElement('script'); s.textContent = 'window.ran = 1'; "
                        "document.head.append(s); return window.ran === undefined")
        errors = [one for one in page.log() if "script-src" not in one]
        assert not errors, errors


{"state": state, "events": follow, "fields": fields, "watch": watch, "hostile": hostile, "stopped": stopped,
 "end": end, "database": database, "browser": browser}[what]()
