#!/bin/bash
# What a run with a keeper ends with, and what goes on when the keeper or its server ends.
. "$(dirname "$0")/../lib.sh" || exit 1
programs=$1
need python3 python3
need ipcmk util-linux
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd
timeout --kill-after=10 250 python3 "$(dirname "$0")/ends.py" "$programs" || fail "ends.py"
assert_kernel_table_empty
