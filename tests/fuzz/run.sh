#!/bin/bash
# run.sh PROGRAM CORPUS [SECONDS]: runs a fuzz target, beginning with its corpus: for so long with inputs that are new
# each time, or else always the same ones. What it finds is printed as base64 as well: decode it into a file and give
# that to PROGRAM to see it again.
set -u
program=$1 corpus=$2 seconds=${3:-0}
if [ ! -x "$program" ]; then
  echo "SKIPPED: clang++ with libFuzzer (package clang) was not there when this was built"
  exit 77
fi
scratch=$(mktemp -d) || exit 1
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/corpus" "$scratch/found"
# AddressSanitizer of clang 14 cannot place its shadow memory in every random layout.
fixed=
setarch --addr-no-randomize true 2>/dev/null && fixed='setarch --addr-no-randomize'
amount='-seed=1 -runs=50000 -max_total_time=25'
[ "$seconds" = 0 ] || amount=-max_total_time=$seconds
# shellcheck disable=SC2086
timeout --kill-after=10 $((seconds + 180)) $fixed "$program" $amount -timeout=30 \
  -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 -artifact_prefix="$scratch/found/" \
  "$scratch/corpus" "$corpus" 2>"$scratch/log"
status=$?
grep -E '^stat::(number_of_executed_units|average_exec_per_sec)' "$scratch/log"
[ $status = 0 ] && exit 0
tail -n 60 "$scratch/log"
for found in "$scratch/found"/*; do
  [ -f "$found" ] && echo "$(basename "$found"): $(base64 -w 0 "$found")"
done
exit 1
