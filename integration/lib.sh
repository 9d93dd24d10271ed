# What the integration scripts share; sourced by each of them.
#
# A script runs (enter_namespaces) in IPC, PID and mount namespaces of its own: no segment of its
# own or of others can be seen or left behind, and every process ends with the script. In that
# IPC namespace kernel.shmmni is 0, so that a shm call that reaches the kernel fails.
set -u

skip() {
  echo "SKIPPED: $*"
  exit 77
}

fail() {
  echo "FAILED: $*" >&2
  [ -z "${failure_log:-}" ] || [ ! -s "$failure_log" ] || sed 's/^/    /' "$failure_log" >&2
  exit 1
}

heading() { printf '== %s\n' "$*"; }

# need COMMAND PACKAGE. Where SHMVISOR_PACKAGES_PROMISED is set, the packages were to be there.
need() {
  command -v "$1" >/dev/null && return
  [ -z "${SHMVISOR_PACKAGES_PROMISED:-}" ] || fail "$1 is missing, though package $2 was to be installed"
  skip "$1 is missing (Debian package $2)"
}

need_root() { [ "$(id -u)" = 0 ] || skip "needs root, to make namespaces and to change the user"; }

unshare_flags='--ipc --pid --fork --kill-child --mount-proc'

# `optional` in a script that compares nothing with the kernel's own shared memory, and so runs without it too.
kernels_shm=needed

# Starts the calling script anew in fresh namespaces: enter_namespaces "$@".
enter_namespaces() {
  if [ $kernels_shm = optional ] && [ ! -e /proc/sysvipc/shm ]; then
    enter_namespaces_without_ipc "$@"
    return
  fi
  if [ "${shmvisor_outer_ipc:-}" != "" ]; then
    [ "$shmvisor_outer_ipc" != "$(readlink /proc/self/ns/ipc)" ] || fail "still in the outer IPC namespace"
    unset shmvisor_outer_ipc
    { echo 0 >/proc/sys/kernel/shmmni; } 2>/dev/null || skip "/proc/sys/kernel/shmmni is not writable here"
    return
  fi
  need_root
  [ -x "${SHMVISOR:?path of the shmvisor binary}" ] || fail "no program at SHMVISOR=$SHMVISOR"
  [ -r /proc/sysvipc/shm ] || skip "this kernel has no System V shared memory to compare with"
  # shellcheck disable=SC2086
  unshare $unshare_flags true || skip "unshare $unshare_flags is refused here"
  # shellcheck disable=SC2086
  shmvisor_outer_ipc=$(readlink /proc/self/ns/ipc) exec unshare $unshare_flags bash "$0" "$@" </dev/null
}

# The same on a kernel that has no System V IPC, and perhaps no IPC namespaces.
enter_namespaces_without_ipc() {
  if [ "${shmvisor_outer_pid:-}" != "" ]; then
    [ "$shmvisor_outer_pid" != "$(readlink /proc/self/ns/pid)" ] || fail "still in the outer PID namespace"
    unset shmvisor_outer_pid
    return
  fi
  need_root
  [ -x "${SHMVISOR:?path of the shmvisor binary}" ] || fail "no program at SHMVISOR=$SHMVISOR"
  # shellcheck disable=SC2086
  shmvisor_outer_pid=$(readlink /proc/self/ns/pid) \
    exec unshare ${unshare_flags#--ipc } bash "$0" "$@" </dev/null
}

# A private folder, removed at the end of the script, in $scratch. Everybody may pass through it.
make_scratch() {
  scratch=$(mktemp -d) || fail "mktemp"
  chmod 755 "$scratch"
  trap 'rm -rf --one-file-system "$scratch"' EXIT
  failure_log=$scratch/log
}

# The kernel's own table of this IPC namespace: a heading and nothing else.
assert_kernel_table_empty() {
  local segments
  [ $kernels_shm = needed ] || [ -e /proc/sysvipc/shm ] || return 0
  segments=$(tail -n +2 /proc/sysvipc/shm | wc -l)
  [ "$segments" = 0 ] || fail "$segments segments in the kernel's own table:
$(cat /proc/sysvipc/shm)"
}

# wait_until SECONDS COMMAND...: polls; false when the bound is reached.
wait_until() {
  local tries=$(($1 * 20))
  shift
  while ! "$@" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 0.05
  done
}

# supervised COMMAND...: under shmvisor, bounded; the log of shmvisor must stay empty (assert_silent).
supervised() {
  timeout --kill-after=10 "${bound_seconds:-120}" "$SHMVISOR" run -- "$@"
}

expect() {
  local what=$1 wanted=$2 got=$3
  [ "$wanted" = "$got" ] || fail "$what: wanted '$wanted', got '$got'"
}

# An ordinary user without any capability: as_user COMMAND...
as_user() {
  setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all --bounding-set=-all -- "$@"
}

# The binary where that user can reach it, whatever the permissions above the build folder are.
copy_shmvisor_to_scratch() {
  install -m 755 "$SHMVISOR" "$scratch/shmvisor" || fail install
  SHMVISOR=$scratch/shmvisor
}

# assert_silent FILE: the log of shmvisor, on its standard error, is empty by default.
assert_silent() {
  [ ! -s "$1" ] || fail "unexpected output on standard error: $(head -c 2000 "$1")"
}
