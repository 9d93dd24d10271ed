#!/bin/bash
# A run with a keeper and an audit: a server that takes over goes on with the same records.
. "$(dirname "$0")/../lib.sh" || exit 1
programs=$1
need python3 python3
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd
timeout --kill-after=10 200 python3 "$(dirname "$0")/audited.py" "$programs/keeper_refused" 200 || fail "audited.py"
assert_kernel_table_empty
