#!/bin/bash
# graph draws which process maps which segment: as text that dot(1) takes, as SVG, and as JSON, also of
# processes whose names are meant to break out of these.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/lib.sh" || exit 1
need python3 python3

cat >"$scratch/holders.py" <<'EOS'
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
first = libc.shmget(0x77, ctypes.c_size_t(8192), 0o1640)
doomed = libc.shmget(0, ctypes.c_size_t(3 << 20), 0o1600)
libc.shmat(first, None, 0)
libc.shmat(first, None, 0)
libc.shmat(doomed, None, 0)
libc.shmctl(doomed, 0, None)
libc.shmget(0x78, ctypes.c_size_t(100), 0o1600)
ready = []
for name in (b'"];}<svg/>\\', b"&quot;]]>\n\\\"x", b"]};p9 [a=\"\xff"):
    read, write = os.pipe()
    if os.fork() == 0:
        libc.prctl(15, name)  # PR_SET_NAME
        libc.shmdt(ctypes.c_void_p(libc.shmat(first, None, 0)))
        os.write(write, b"x")
        time.sleep(1000)
    os.read(read, 1)
# One that maps one segment alone, and for reading.
read, write = os.pipe()
if os.fork() == 0:
    os.execvp("python3", ["python3", "-c", f"""
import ctypes, os, time
libc = ctypes.CDLL(None)
libc.prctl(15, b'reader')
libc.shmat({first}, None, 0o10000)
open('{sys.argv[1]}/ready', 'w').close()
time.sleep(1000)"""])
time.sleep(1000)
EOS
start_run web --no-linger -- python3 "$scratch/holders.py" "$scratch"
wait_until 30 test -e "$scratch/ready" || fail "the command does not come so far: $(cat "$scratch/web.log")"
client graph >"$scratch/graph.dot" || fail "status $?"
client graph --svg -o "$scratch/graph.svg" || fail "status $?"
client graph --json >"$scratch/graph.json" || fail "status $?"
client graph --all >"$scratch/all.dot" || fail "status $?"

heading "JSON"
python3 - "$scratch" <<'EOS' || fail "the JSON is another: $(cat "$scratch/graph.json")"
import json, sys
graph = json.load(open(sys.argv[1] + "/graph.json"))
pids = {one["pid"]: one["command"] for one in graph["processes"]}
assert len(pids) == 5 and "reader" in pids.values() and '"];}<svg/>\\' in pids.values(), pids
maps = {(pids[one["pid"]], one["shmid"]): (one["attaches"], one["writable"]) for one in graph["maps"]}
assert maps["python3", 0] == (2, True) and maps["python3", 1] == (1, True), maps
assert maps["reader", 0] == (1, False) and ("reader", 1) not in maps, maps
assert len(graph["segments"]) == 3, graph["segments"]
EOS

heading "for Graphviz"
# What a parser of dot's language must find: 5 processes, 3 segments, and 9 lines between them.
python3 - "$scratch/graph.dot" <<'EOS' || fail "it is no graph: $(cat "$scratch/graph.dot")"
import re, sys
text = open(sys.argv[1], newline="").read()
assert all(" " <= letter <= "~" or letter == "\n" for letter in text), "it is not ASCII alone"
word = re.compile(r'\s*("(?:[^"\\\n]|\\.)*"|[A-Za-z_][A-Za-z_0-9]*|--|[\[\]{}=,;])')
words, at = [], 0
while text[at:].strip():
    match = word.match(text, at)
    assert match, text[at:at + 60]
    words.append(match.group(1))
    at = match.end()
depth = 0
for one in words:
    depth += {"{": 1, "}": -1}.get(one, 0)
    assert depth >= 0
assert depth == 0 and words[:3] == ["graph", "shmvisor", "{"]
outside = [one for one in words if not one.startswith('"')]
nodes = [one for one, behind in zip(outside, outside[1:]) if behind == "[" and re.fullmatch(r"[ps]\d+", one)]
edges = [tuple(outside[at - 1:at + 2]) for at, one in enumerate(outside) if one == "--"]
starts = {edge[2] for edge in edges}
assert outside.count("--") == len(set(edges)) == 9, edges
assert {one for one in nodes if one.startswith("p")} == {f"p{n}" for n in range(5)}, nodes
assert {one for one in nodes if one.startswith("s")} == {"s0", "s1", "s2"}, nodes
assert starts == {"s0", "s1"}, starts
EOS
if command -v dot >/dev/null; then
  for drawn in graph.dot all.dot; do
    dot -Tsvg "$scratch/$drawn" >"$scratch/drawn.svg" 2>"$scratch/said" || fail "dot refuses it: $(cat "$scratch/said")"
    assert_silent "$scratch/said"
  done
fi

heading "SVG"
python3 - "$scratch/graph.svg" <<'EOS' || fail "the picture is another: $(cat "$scratch/graph.svg")"
import sys, xml.etree.ElementTree as tree
SVG = "{http://www.w3.org/2000/svg}"
picture = tree.parse(sys.argv[1]).getroot()
count = {tag: len(list(picture.iter(SVG + tag))) for tag in ("svg", "rect", "path", "script", "g", "image")}
assert count == {"svg": 1, "rect": 9, "path": 9, "script": 0, "g": 8, "image": 0}, count
texts = [one.text for one in picture.iter(SVG + "text")]
assert '"];}<svg/>\\' in texts and '&quot;]]>' in texts and ']};p9 [a="?' in texts, texts
assert "3.0 MiB, nattch 4" in texts and "shmid 1, removed" in texts, texts
dashed = [path for path in picture.iter(SVG + "path") if path.get("stroke-dasharray")]
assert len(dashed) == 1, len(dashed)
width = int(picture.get("width"))
for box in picture.iter(SVG + "rect"):
    assert int(box.get("x", 0)) + int(box.get("width")) <= width, box.attrib
EOS

heading "what goes wrong"
said 125 "exclude each other" client graph --svg --json
said 1 "has no registry 'x'" client graph --registry x
said 1 "cannot write to standard output: No space left" sh -c '"$SHMVISOR" graph >/dev/full'
timeout 60 "$SHMVISOR" graph | true
kill "$run"
wait "$run"
said 1 "no run of this user has a control socket" client graph
assert_kernel_table_empty
