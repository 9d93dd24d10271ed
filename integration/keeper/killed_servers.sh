#!/bin/bash
# Servers that are killed at random moments: their command, which holds each result against a model,
# notices a pause only.
. "$(dirname "$0")/../lib.sh" || exit 1
programs=$1
need python3 python3
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd

kill_often() {
  timeout --kill-after=10 220 python3 "$(dirname "$0")/killed_servers.py" "$@" || fail "$*"
}

kill_often 100 "$programs/keeper_model" 1000 1 1
kill_often 100 "$programs/keeper_model" 1000 2 3
assert_kernel_table_empty
