#!/bin/bash
# A run ends when its command ends, also on kernels that do not wake a thread that waits for a call when the last
# supervised task is gone. The bound is wide; the lateness that was once seen was a second.
. /integration/lib.sh || exit 1
kernels_shm=optional
enter_namespaces "$@"
make_scratch
bound_ms=700

# ends_on_time COMMAND...: each of three runs.
ends_on_time() {
  local begin took
  for _ in 1 2 3; do
    begin=${EPOCHREALTIME/./}
    "$@" >"$scratch/out" 2>&1 || fail "$*: status $?: $(cat "$scratch/out")"
    took=$(((${EPOCHREALTIME/./} - begin) / 1000))
    [ "$took" -le "$bound_ms" ] || fail "$*: $took ms"
  done
  echo "$took ms: $*"
}

for options in '' '--without wait-killable-recv'; do
  for who in '' as_user; do
    # shellcheck disable=SC2086
    {
      ends_on_time $who "$SHMVISOR" run $options -- true
      ends_on_time $who "$SHMVISOR" run $options -- bash -c 'true & true | true; ipcmk -M 1; ipcmk -M 1 & wait'
      ends_on_time $who "$SHMVISOR" run $options -- /programs/oracle_memory
    }
  done
done
