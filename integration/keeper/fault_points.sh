#!/bin/bash
# fault_points.sh PROGRAM SECONDS [OPTION...]: servers that die at each point where one may (policy/base/fault_point.h).
. "$(dirname "$0")/../lib.sh" || exit 1
program=$1
seconds=$2
need python3 python3
enter_namespaces "$@"
shift 2
make_scratch
cd "$scratch" || fail cd
sources=$(realpath "$(dirname "$0")/../../supervisor")
timeout --kill-after=10 3600 python3 "$(dirname "$0")/fault_points.py" "$sources" "$program" --seconds "$seconds" "$@"
status=$?
[ $status = 77 ] && exit 77
[ $status = 0 ] || fail "fault_points.py"
assert_kernel_table_empty
