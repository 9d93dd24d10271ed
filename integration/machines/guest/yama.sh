#!/bin/bash
# Each value of Yama's kernel.yama.ptrace_scope, as root, as a root that lacks CAP_SYS_PTRACE, and as an ordinary
# user: whether a command can attach, also one that has lost its parent and one that joins another run, and that
# `check` says the same beforehand.
. /integration/lib.sh || exit 1
kernels_shm=optional
scope=/proc/sys/kernel/yama/ptrace_scope
[ -w $scope ] || skip "this kernel has no Yama"
enter_namespaces "$@"
make_scratch
mkdir -m 777 "$scratch/work" && cd "$scratch/work" || fail mkdir

as_root() { "$@"; }
as_bare_root() { setpriv --inh-caps=-all --bounding-set=-sys_ptrace -- "$@"; }

# For a shell under shmvisor: attaches once its parent has gone.
cat >orphan <<'END'
(while [ -d "/proc/$$" ]; do sleep 0.01; done; /programs/command_attach_once >orphaned) &
END

# outcome FILE: of shmat, and of what copies into the caller.
outcome() { sed -n 's/^\(shmat\|IPC_STAT\) = //p' "$1" | paste -s -d ' '; }

# attaches WHO: what came of an attach, of an orphan's, and of a joined command's.
attaches() {
  local run="timeout --kill-after=5 60 $SHMVISOR run" server
  rm -f orphaned socket over joined
  # shellcheck disable=SC2086
  {
    $1 $run -- /programs/command_attach_once >out 2>err
    $1 $run -- bash orphan 2>>err
    $1 $run --serve socket -- bash -c 'while [ ! -e over ]; do sleep 0.02; done' 2>>err &
    server=$!
    wait_until 20 test -S socket || fail "no socket: $(cat err)"
    $1 $run --join socket -- /programs/command_attach_once >joined 2>join_err || echo 'shmat = refused' >>joined
  }
  touch over
  wait $server
  echo "$(outcome out), $(outcome orphaned), $(sed -n 's/^shmat = //p' joined | head -n 1)"
}

# expect_at VALUE WHO ATTACHES CHECK_SAYS
expect_at() {
  local says=cannot
  echo "$1" >$scope || fail "ptrace_scope $1 cannot be set"
  expect "ptrace_scope $1, $2" "$3" "$(attaches "$2")"
  "$2" "$SHMVISOR" check >check 2>&1 && says=can
  expect "ptrace_scope $1, $2: check" "$4" "$says"
  grep -q "^yama *ptrace_scope $1 " check || fail "check does not show the value: $(cat check)"
  [ "$says" = can ] || grep -Eq '^ptrace .*fatal.*Yama' check || fail "check does not say why: $(cat check)"
  [ "$says" = can ] || grep -q 'kernel.yama.ptrace_scope' err || fail "no warning names Yama: $(cat err)"
  case $3 in *refused) grep -q 'kernel.yama.ptrace_scope' join_err || fail "why not joined: $(cat join_err)" ;; esac
  echo "ptrace_scope $1, $2: $3"
}

refused='EACCES EFAULT, EACCES EFAULT, refused'
for who in as_root as_bare_root as_user; do expect_at 0 $who 'ok ok, ok ok, ok' can; done
expect_at 1 as_root 'ok ok, ok ok, ok' can
for who in as_bare_root as_user; do expect_at 1 $who 'ok ok, ok ok, refused' can; done
expect_at 2 as_root 'ok ok, ok ok, ok' can
for who in as_bare_root as_user; do expect_at 2 $who "$refused" cannot; done
for who in as_root as_bare_root as_user; do expect_at 3 $who "$refused" cannot; done
