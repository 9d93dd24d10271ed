"""metrics.py WHAT URL [ARGUMENT]: asks serve-metrics at URL, and checks what it answers; see metrics.sh."""
import itertools
import os
import resource
import socket
import sys
import threading
import time

import http_peer
import openmetrics

what, url = sys.argv[1:3]
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))


def connect():
    return http_peer.connect(url)


def ask(text):
    return http_peer.ask(url, text)


def get(path="/metrics", accept="application/openmetrics-text", host="localhost"):
    return ask(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\n\r\n".encode())


def metrics():
    status, fields, body = get()
    assert status == 200 and fields["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    families = openmetrics.parse(body)
    try:
        from prometheus_client.openmetrics import parser
        assert len(list(parser.text_string_to_metric_families(body))) == len(families)
    except ImportError:
        pass
    return families


def again(check):
    """The last scrape may be served for a second more: until `check` holds."""
    for _ in range(60):
        families = metrics()
        try:
            return check(families)
        except AssertionError as error:
            last = error
        time.sleep(0.25)
    raise last


def answered(families, answering, unanswered=0):
    assert families["shmvisor_runs"].value() == answering, families["shmvisor_runs"].samples
    assert families["shmvisor_unanswered_runs"].value() == unanswered


def none():
    families = metrics()
    answered(families, 0)
    assert families["shmvisor_calls"].samples == {} and families["shmvisor_calls"].type == "counter"
    status, fields, body = get(accept="text/plain")
    assert status == 200 and fields["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "# TYPE shmvisor_calls_total counter\n" in body and "EOF" not in body and "info\n" not in body
    assert get("/")[0] == 200 and get("/x")[0] == 404


def one():
    def check(families):
        answered(families, 1, unanswered=int(sys.argv[4]) if len(sys.argv) > 4 else 0)
        assert families["shmvisor_run"].value("_info", run=sys.argv[3], kind="run") == 1
    again(check)


def two():
    def check(families):
        answered(families, 2)
        def of(name, suffix="", **labels):
            return families["shmvisor_" + name].value(suffix, run="web", registry="main", **labels)
        assert of("segments") == 2 and of("removed_segments") == 1 and of("attaches") == 3
        assert of("allocated_bytes") == 16384 and of("swapped_bytes") == 0
        assert of("limit_segments") == 7 and of("limit_segment_bytes") == 1 << 20
        assert of("limit_allocated_bytes") > 1e22
        assert of("calls", "_total", call="shmget") == 5
        assert of("call_errors", "_total", call="shmget") == 3
        assert of("calls", "_total", call="shmat") == 3 and of("call_errors", "_total", call="shmat") == 0
        assert of("refusals", "_total", reason="shmmax") == 3
        durations = families["shmvisor_call_duration_seconds"]
        assert of("call_duration_seconds", "_count", call="shmget") == 5
        assert 0 < of("call_duration_seconds", "_sum", call="shmat") < 60
        assert of("call_duration_seconds", "_bucket", call="shmat", le="+Inf") == 3, durations.samples
        assert families["shmvisor_calls"].value("_total", run="other", registry="main", call="shmget") == 0
        assert families["shmvisor_lost_records"].value("_total", run="web") == 0
    again(check)


def database():
    """PostgreSQL, whose parallel queries make and remove segments."""
    run = {"run": sys.argv[3], "registry": "main"}
    seen = []

    def growing(families):
        answered(families, 1)
        made = families["shmvisor_calls"].value("_total", call="shmget", **run)
        seen.append(made)
        assert made > seen[0] >= 1, seen
        assert families["shmvisor_segments"].value(**run) >= 1
        assert families["shmvisor_attaches"].value(**run) >= 2
        assert families["shmvisor_allocated_bytes"].value(**run) >= 32 << 20
        assert families["shmvisor_resident_bytes"].value(**run) > 1 << 20
        assert families["shmvisor_calls"].value("_total", call="shmdt", **run) >= 1
    again(growing)


def stopped():
    before = time.monotonic()

    def check(families):
        answered(families, 1, 1)
        assert families["shmvisor_segments"].value(run="web", registry="main") == 2
        assert not [1 for _, pairs in families["shmvisor_segments"].samples if ("run", "other") in pairs]
    again(check)
    assert time.monotonic() - before < 60


def forged():
    """Sockets in the folder of the runs that somebody of the same user made."""
    hello = b'{"hello":{"protocol":1,"version":"9\\"} 1\\n","kind":"run","name":"web","pid":7}}\n'
    registry = (b'{"name":"a\\"b\\\\","limits":{"shmmax":1,"shmmin":1,"shmall":18446744073709551615,"shmmni":9},'
                b'"used":{"segments":1,"pages":1,"resident_pages":1,"swapped_pages":0}}')
    counters = (b'{"reply":"counters","bounds_ns":[5,10],"lost":1,"registries":[{"name":"a\\"b\\\\","calls":{"shm\\nget":'
                b'{"calls":3,"errors":0,"took_ns":9,"within":[1,1,1]}},"refusals":{"}":7}}]}\n')
    none_left = b'{"reply":"segments","registry":"x","segments":[],"next":null}\n'
    begin = hello + b'{"reply":"registries","registries":[' + registry + b"]}\n" + counters
    begin_parts = hello + b'{"error":{"code":"too-long","message":"too long"}}\n'

    def segments(following):
        return b'{"reply":"segments","registry":"x","segments":[],"next":%d}\n' % following

    def part(of, following):
        return b'{"reply":"registries","registries":[%s],"next":"0 %d"}\n' % (of, following)

    # How each begins, and what it goes on with: these never end.
    talk = {
        "ever": (begin, map(segments, itertools.repeat(1))),
        "behind": (begin, map(segments, itertools.count(1))),
        "parts": (begin_parts, map(part, itertools.repeat(registry), itertools.repeat(1))),
        "empty": (begin_parts, map(part, itertools.repeat(b""), itertools.count(1 << 30))),
        "growing": (begin_parts, map(part, itertools.repeat(registry), itertools.count(1 << 30))),
    }
    says = {
        "honest": begin + none_left,
        "twice": hello + b'{"reply":"registries","registries":[' + registry + b"," + registry + b"]}\n" + counters,
        "bounds": hello + b'{"reply":"registries","registries":[' + registry + b"]}\n" +
                  counters.replace(b"[5,10]", b"[10,5]") + none_left,
        "types": hello + b'{"reply":"registries","registries":[{"name":7}]}\n' + counters,
        "none": hello + b"{}\n" * 9, "silent": b"", "nonsense": b"\x00\xff\n" * 100, "long": b"x" * (3 << 20),
    }
    sockets = []

    def serve(listening, text, more):
        while True:
            try:
                client = listening.accept()[0]
            except OSError:
                return
            threading.Thread(target=answer, args=(client, text, more), daemon=True).start()

    def answer(client, text, more):
        threading.Thread(target=take_requests, args=(client,), daemon=True).start()
        try:
            client.sendall(text)
            while lines := b"".join(itertools.islice(more, 100)):
                client.sendall(lines)
        except OSError:
            pass

    def take_requests(client):
        try:
            while client.recv(1 << 16):
                pass
        except OSError:
            pass

    talk.update({name: (text, ()) for name, text in says.items()})
    for name, (text, more) in talk.items():
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(os.path.join(sys.argv[3], name + ".control"))
        listening.listen(16)
        sockets.append((listening, name))
        threading.Thread(target=serve, args=(listening, text, more), daemon=True).start()

    def check(families):
        answered(families, 2, len(talk))  # besides them one that is stopped
        forged_one = {"run": "web/2", "registry": 'a"b\\'}
        names = {dict(pairs)["run"] for _, pairs in families["shmvisor_segments"].samples}
        if names != {"web", "web/2"} or ("registry", 'a"b\\') not in list(families["shmvisor_segments"].samples)[1][1]:
            forged_one["run"] = "web"
        assert families["shmvisor_segments"].value(**forged_one) == 1, names
        assert families["shmvisor_calls"].value("_total", call="shm?get", **forged_one) == 3
        assert families["shmvisor_refusals"].value("_total", reason="}", **forged_one) == 7
        assert families["shmvisor_call_duration_seconds"].value("_bucket", le="+Inf", **forged_one) == 3
    again(check)
    for listening, name in sockets:
        listening.close()
        os.unlink(os.path.join(sys.argv[3], name + ".control"))


def hostile():
    def check(beside):
        # In a crowd it may have to come again.
        for _ in range(20):
            try:
                assert get()[0] == 200, beside
                return print("beside", beside)
            except (OSError, KeyError):
                time.sleep(0.1)
        raise AssertionError("nobody is answered beside " + beside)

    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example"):
        assert get(host=host)[0] == 400, host
    assert ask(b"POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello")[0] == 405
    assert ask(b"GET /metrics HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n")[0] == 400
    assert ask(b"GET " + b"/x" * 6000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")[0] == 431
    assert ask(b"HEAD /x HTTP/1.0\r\n\r\n".replace(b"HEAD", b"GET"))[0] == 404
    half = [connect() for _ in range(50)]
    for client in half:
        client.sendall(b"GET /metrics HTTP/1.1\r\nHo")
    check("half requests")
    for _ in range(100):
        with connect() as client:
            try:
                client.sendall(os.urandom(3000))
                http_peer.everything(client)
            except OSError:
                pass
    check("binary")
    with connect() as client:
        sent = 0
        try:
            while sent < 100 << 20:
                sent += client.send(b"x" * (1 << 16))
        except OSError:
            pass
        assert sent < 16 << 20, sent
    check("a line without end")
    crowd = http_peer.make_crowd(url)
    check("a thousand clients")
    for client in crowd:
        client.setblocking(True)
        client.settimeout(5)
        try:
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        except OSError:
            pass
    check("a thousand that ask and do not read")
    for client in crowd + half:
        client.close()


def show():
    print(get(accept="text/plain")[2], end="")


{"none": none, "one": one, "two": two, "database": database, "stopped": stopped, "forged": forged,
 "hostile": hostile, "print": show}[what]()
