#!/bin/bash
# python.sh SCRIPT.py: runs it in namespaces of its own, with a folder of its own.
. "$(dirname "$0")/../lib.sh" || exit 1
need python3 python3
enter_namespaces "$@"
make_scratch
failure_log=$scratch/agent.log
PYTHONDONTWRITEBYTECODE=1 timeout --kill-after=10 120 python3 "$(dirname "$0")/$1" "$scratch"
status=$?
[ $status != 77 ] || skip "$1 cannot be tried here"
expect "$1: status" 0 $status
assert_kernel_table_empty
