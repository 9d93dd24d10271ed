#!/bin/bash
# compare.sh [--recorded FILE] [--as-user] [--without FEATURE] [--memfd-noexec VALUE] PROGRAM [ARG...]:
# the transcript of PROGRAM on the kernel's own shm (in an IPC namespace of its own) beside its
# transcript under shmvisor. Any difference fails. With --recorded the first is that of another kernel, and this one
# needs none of its own.
# shellcheck disable=SC2086
. "$(dirname "$0")/../lib.sh" || exit 1
[ $# -ge 1 ] || fail "usage: compare.sh [OPTION...] PROGRAM [ARG...]"
[ "$1" != --recorded ] || kernels_shm=optional
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd
recorded=
user=
without=
as_user=
[ "$1" != --recorded ] || { recorded=$2 && shift 2; }
[ "$1" != --as-user ] || { as_user=1 && shift; }
[ "$1" != --without ] || { without="--without $2" && shift 2; }
if [ "$1" = --memfd-noexec ]; then # a sysctl of this PID namespace
  [ -w /proc/sys/vm/memfd_noexec ] || skip "this kernel has no vm.memfd_noexec"
  echo "$2" >/proc/sys/vm/memfd_noexec || fail "vm.memfd_noexec"
  shift 2
fi
if [ "$as_user" = 1 ]; then
  copy_shmvisor_to_scratch
  install -m 755 "$1" program || fail install
  shift
  set -- "$scratch/program" "$@"
  mkdir -m 777 work && cd work || fail mkdir
  # Without capabilities, so that no_new_privs has to be set.
  user='setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all --bounding-set=-all --'
fi

# The native run has the kernel's default limits, in yet another namespace.
bound=${bound_seconds:-60}
if [ -n "$recorded" ]; then
  [ -e "$recorded" ] || skip "no transcript of another kernel was recorded"
  cp "$recorded" native && : >native.err || fail cp
  native_status=0
else
  timeout --kill-after=10 "$bound" unshare --ipc $user "$@" >native 2>native.err
  native_status=$?
fi
tail -n 1 native | grep -qx end || fail "the native run did not reach its end (status $native_status):
$(tail -n 5 native native.err)"

timeout --kill-after=10 "$((2 * bound))" $user "$SHMVISOR" run $without -- "$@" >supervised 2>supervised.err
supervised_status=$?

if ! diff -u --label native --label supervised native supervised; then
  [ ! -s supervised.err ] || sed 's/^/standard error: /' supervised.err
  fail "the transcripts differ (status $native_status natively, $supervised_status supervised)"
fi
expect "exit status" "$native_status" "$supervised_status"
expect "standard error" "$(cat native.err)" "$(cat supervised.err)"
assert_kernel_table_empty
echo "$(wc -l <native) lines alike"
