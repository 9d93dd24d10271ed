#!/bin/bash
# Segments that nobody has had yet, and a server that dies.
. "$(dirname "$0")/../lib.sh" || exit 1
need python3 python3
need ipcs util-linux
/usr/bin/python3 -c 'import sysv_ipc' 2>/dev/null || skip 'python3-sysv-ipc is missing'
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd
timeout --kill-after=10 200 python3 "$(dirname "$0")/unused.py" "$1" || fail "unused.py"
assert_kernel_table_empty
