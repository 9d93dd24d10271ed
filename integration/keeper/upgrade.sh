#!/bin/bash
# upgrade.sh PROGRAMS FAKE_RUNTIME SEGMENT [CHECK...]: another build of shmvisor takes over from a running one.
. "$(dirname "$0")/../lib.sh" || exit 1
need python3 python3
need setpriv util-linux
need setcap libcap2-bin
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd
export XDG_RUNTIME_DIR=$scratch/runtime
mkdir -m 700 "$XDG_RUNTIME_DIR"
timeout --kill-after=10 250 python3 "$(dirname "$0")/upgrade.py" "$1" "${@:4}" || fail "upgrade.py"
if [ $# = 3 ]; then
  install -m 755 "$3" segment || fail install
  timeout --kill-after=10 150 python3 "$(dirname "$0")/upgraded_agent.py" "$2" "$1" || fail "upgraded_agent.py"
fi
assert_kernel_table_empty
