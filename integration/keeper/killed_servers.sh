#!/bin/bash
# Servers that are killed at random moments: their command, which holds each result against a model,
# notices a pause only.
. "$(dirname "$0")/../lib.sh" || exit 1
programs=$1
need python3 python3
need unshare util-linux
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd

kill_often() {
  timeout --kill-after=10 220 python3 "$(dirname "$0")/killed_servers.py" "$@" || fail "$*"
}

kill_often 100 "$programs/keeper_model" 1000 1 1
kill_often 100 "$programs/keeper_model" 1000 2 3
# In three IPC namespaces: what one of them has removed goes while no server is there, and another is
# restored next.
# shellcheck disable=SC2016 # it is another shell's
in_namespaces='set -o pipefail; exec 3<&0; {
  "$0" 1000 4 1 4 <&3 & unshare --ipc "$0" 1000 5 1 5 <&3 & unshare --ipc "$0" 1000 6 1 6 <&3 &
  status=0; for one in $(jobs -p); do wait "$one" || status=1; done; exit $status
} | { read -r _; read -r _; read -r _; echo ready; cat; }'
kill_often 60 bash -c "$in_namespaces" "$programs/keeper_model"
assert_kernel_table_empty
