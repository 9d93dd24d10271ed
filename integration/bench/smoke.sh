#!/bin/bash
# smoke.sh BENCH: the benchmark measures every workload, what it prints makes sense, and nothing of
# it is left when it is interrupted. No figure is judged.
. "$(dirname "$0")/../lib.sh" || exit 1
need python3 python3
enter_namespaces "$@"
make_scratch
mkdir "$scratch/tmp"
chmod 1777 "$scratch/tmp"
export TMPDIR=$scratch/tmp

# assert_nothing_left: neither files nor processes of the benchmark's.
assert_nothing_left() {
  [ -z "$(ls -A "$scratch/tmp")" ] || fail "left behind: $(ls -A "$scratch/tmp")"
  wait_until 5 bash -c '[ "$(ps -e -o comm= | grep -c -E "shmvisor|postgres|Xvfb")" = 0 ]' ||
    fail "left behind: $(ps -e -o pid=,args=)"
}

# What takes long to set up is too much for a sanitized shmvisor.
how_much=--repeats=1
[ -z "${SHMVISOR_SANITIZED:-}" ] || how_much=--quick
timeout --kill-after=10 400 "$1" "$how_much" --milliseconds 4 --seconds 380 --shmvisor "$SHMVISOR" \
  --rival no-such-rival --json "$scratch/bench.json" --plot "$scratch/bench.svg" \
  >"$scratch/table" 2>"$scratch/errors" ||
  fail "status $?: $(cat "$scratch/errors" "$scratch/table")"
assert_nothing_left
timeout --kill-after=10 100 "$1" --quick --milliseconds 4 --shmvisor "$SHMVISOR" \
  --only '^(semop|shmget|start)$' --without each --observer each --rival here=env \
  --json "$scratch/columns.json" >"$scratch/columns.table" 2>"$scratch/errors" ||
  fail "status $?: $(cat "$scratch/errors" "$scratch/columns.table")"

python3 - "$scratch" "${SHMVISOR_SANITIZED:-}" <<'END' || fail "$(cat "$scratch/table" "$scratch/bench.json")"
import json
import os
import sys
import xml.etree.ElementTree

folder, sanitized = sys.argv[1:]


def check_number(summary, where):
    assert 0 <= summary["lower_quartile"] <= summary["median"] <= summary["upper_quartile"], where


def check_workload(workload, absent):
    no_supervisor = workload["name"].startswith("idle-")
    for name, column in workload["columns"].items():
        where = workload["name"], name, column
        reason = column.get("not_measured", "")
        if name == absent:
            assert reason == absent + " is missing", where
        elif "(Debian package" in reason:
            print(*where)  # not installed
        elif reason:
            is_start = workload["name"] == "start" and name == "with events"
            assert name == "floor" and reason == "no floor" or no_supervisor or is_start, where
        else:
            check_number(column["summary"], where)
    for goal in workload["goals"]:
        assert goal["verdict"] in ("met", "missed", "not measured"), goal


bench = json.load(open(folder + "/bench.json"))
assert int(bench["machine"]["cpus"]) >= 1 and bench["machine"]["kernel"], bench["machine"]
names = [workload["name"] for workload in bench["workloads"]]
for name in ["getppid", "semop-attached8", "create-remove", "shmat", "attach-detach-1G", "first-touch",
             "copy-bandwidth", "shmget-16-threads", "stat-among-1000", "stat-attached-100", "start",
             "idle-wake-ups", "php-attach-detach", "python-attach-detach", "x11-segment-each-image"]:
    assert name in names, names
if not sanitized:
    assert "pgbench-select" in names and "x11perf-shmput500" in names, names
for workload in bench["workloads"]:
    check_workload(workload, "no-such-rival")

columns = json.load(open(folder + "/columns.json"))
for workload in columns["workloads"]:
    assert len(workload["columns"]) >= 10 and "without call-page" in workload["columns"], workload
    check_workload(workload, None)
    if workload["name"] == "shmget":
        check_number(workload["to_shmvisor"]["here"], workload)

for table, of in (("table", names), ("columns.table", ["semop", "shmget", "start"])):
    lines = open(folder + "/" + table, encoding="utf-8").read().splitlines()
    assert all(len(line) <= 100 for line in lines), [line for line in lines if len(line) > 100]
    for name in of:
        assert any(line.startswith(name + "  ") for line in lines), name

if os.path.exists(folder + "/bench.svg"):
    picture = xml.etree.ElementTree.parse(folder + "/bench.svg").getroot()
    assert picture.tag == "{http://www.w3.org/2000/svg}svg", picture.tag
else:
    assert "gnuplot is missing" in open(folder + "/errors").read() or sanitized
END
command -v gnuplot >/dev/null && [ ! -s "$scratch/bench.svg" ] && fail "gnuplot drew nothing"

"$1" --only pgbench --shmvisor "$SHMVISOR" >"$scratch/table" 2>&1 &
bench=$!
if wait_until 60 pgrep -x postgres; then
  kill -TERM "$bench"
  wait "$bench"
  expect "status after SIGTERM" 143 $?
  assert_nothing_left
else
  kill -KILL "$bench"
  echo "SIGTERM amidst PostgreSQL not tried: $(tail -n 3 "$scratch/table")"
fi
assert_kernel_table_empty
