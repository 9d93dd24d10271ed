#!/bin/bash
# A run with a keeper that others have joined: they notice a pause when its servers die.
. "$(dirname "$0")/../lib.sh" || exit 1
programs=$1
need python3 python3
need ipcmk util-linux
need setpriv util-linux
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd
timeout --kill-after=10 250 python3 "$(dirname "$0")/joined.py" "$@" || fail "joined.py"
assert_kernel_table_empty
