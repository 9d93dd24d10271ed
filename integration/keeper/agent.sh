#!/bin/bash
# agent.sh PROGRAMS FAKE_RUNTIME SEGMENT: an agent with a keeper: its containers notice a pause when its servers die.
. "$(dirname "$0")/../lib.sh" || exit 1
need python3 python3
need setpriv util-linux
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd
install -m 755 "$3" segment || fail install
export XDG_RUNTIME_DIR=$scratch/runtime
mkdir -m 700 "$XDG_RUNTIME_DIR"
timeout --kill-after=10 350 python3 "$(dirname "$0")/kept_agent.py" "$2" "${@:4}" || fail "kept_agent.py"
assert_kernel_table_empty
