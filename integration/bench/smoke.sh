#!/bin/bash
# smoke.sh BENCH: the benchmark runs, and what it prints makes sense. No figure is judged.
. "$(dirname "$0")/../lib.sh"
need python3 python3
enter_namespaces "$@"
make_scratch

timeout --kill-after=10 240 "$1" --quick --only '^(getppid|semop|shmget|stat-unattached|attach-detach-4K|start|idle-pss)$' \
  --shmvisor "$SHMVISOR" --without sync-wake-up --rival env --rival no-such-rival \
  --json "$scratch/bench.json" >"$scratch/table" 2>"$scratch/errors" ||
  fail "status $?: $(cat "$scratch/errors" "$scratch/table")"

python3 - "$scratch/bench.json" <<'END' || fail "$(cat "$scratch/table" "$scratch/bench.json")"
import json
import sys

bench = json.load(open(sys.argv[1]))
assert bench["cpus"] >= 1 and bench["repeats"] == 2, bench
names = [workload["name"] for workload in bench["workloads"]]
assert names == ["getppid", "semop", "shmget", "stat-unattached", "attach-detach-4K", "start",
                 "idle-pss"], names
for workload in bench["workloads"]:
    for name, column in workload["columns"].items():
        where = workload["name"], name, column
        if name == "no-such-rival":
            assert column["not_measured"] == "no-such-rival is missing", where
        elif name == "floor" and "bwrap" in column.get("not_measured", ""):
            pass  # not installed
        elif workload["name"] == "idle-pss" and name in ("native", "floor"):
            assert "not_measured" in column, where
        else:
            summary = column["summary"]
            assert 0 < summary["lower_quartile"] <= summary["median"] <= summary["upper_quartile"], where
    for goal in workload["goals"]:
        assert goal["verdict"] in ("met", "missed", "not measured"), goal
END
grep -q '^attach-detach-4K ' "$scratch/table" || fail "no such line: $(cat "$scratch/table")"
assert_kernel_table_empty
