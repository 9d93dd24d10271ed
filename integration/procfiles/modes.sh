#!/bin/bash
# --proc=fuse, hide and off, and none of them, as root and as an ordinary user with and without
# --userns: what the command sees, what is said, and what its surroundings notice.
# shellcheck disable=SC2086
. "$(dirname "$0")/../lib.sh" || exit 1
. "$(dirname "$0")/fuse.sh" || exit 1
need ipcs util-linux
need sysctl procps
enter_namespaces "$@"
make_scratch
copy_shmvisor_to_scratch
need_fuse
open_dev_fuse_to_all
cd "$scratch" || fail cd

cat >look <<'END'
# Makes a segment and says who shows it.
made=$(ipcmk -M 5000 -p 600) || exit 3
table=$(grep -c ' 5000 ' /proc/sysvipc/shm 2>/dev/null)
ipcs=$(ipcs -m | grep -c ' 5000 ')
printf 'table %s ipcs %s shmmni %s\n' "${table:-none}" "$ipcs" "$(cat /proc/sys/kernel/shmmni)"
END

# look WANTED STANDARD_ERROR_PATTERN COMMAND...: an empty pattern is silence.
look() {
  local wanted=$1 pattern=$2
  shift 2
  timeout --kill-after=10 60 "$@" >out 2>err </dev/null || fail "$*: status $?: $(cat out err)"
  expect "$*" "$wanted" "$(cat out)"
  if [ -n "$pattern" ]; then
    grep -Eq "$pattern" err || fail "$*: no '$pattern' in: $(cat err)"
    expect "$*: lines on standard error" 1 "$(wc -l <err)"
  else
    assert_silent err
  fi
}

# refused PATTERN COMMAND...: status 125, and a sentence.
refused() {
  local pattern=$1
  shift
  timeout --kill-after=10 60 "$@" >out 2>err </dev/null
  expect "$*: status" 125 $?
  grep -Eq "$pattern" err || fail "$*: no '$pattern' in: $(cat err)"
  [ ! -s out ] || fail "$*: it ran"
}

user='setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all --bounding-set=-all --'
ours='table 1 ipcs 1 shmmni 4096'
kernels='table 0 ipcs 0 shmmni 0'  # shmmni is 0 in this IPC namespace
hidden='table none ipcs 1 shmmni 0'

case ${SHMVISOR_SANITIZED:-} in
  *thread*) skip "ThreadSanitizer keeps a thread of its own, beside which no user namespace can be made" ;;
esac

heading root
look "$ours" '' "$SHMVISOR" run -- bash look
look "$ours" '' "$SHMVISOR" run --proc=fuse -- bash look
look "$hidden" '' "$SHMVISOR" run --proc=hide -- bash look
look "$kernels" 'warning: --proc=off.*kernel' "$SHMVISOR" run --proc=off -- bash look
look "$kernels" '' "$SHMVISOR" run --proc=off --log-level=error -- bash look
look "$ours" '' "$SHMVISOR" run --userns -- bash look

heading 'root without CAP_SYS_ADMIN'
bare='setpriv --inh-caps=-all --bounding-set=-sys_admin --'
look "$kernels" '' $bare "$SHMVISOR" run -- bash look
look "$kernels" 'info: .*mount namespace' $bare "$SHMVISOR" run --log-level=info -- bash look
refused 'mount namespace.*not permitted.*--proc=off' $bare "$SHMVISOR" run --proc=fuse -- echo run
refused 'mount namespace.*not permitted.*--proc=off' $bare "$SHMVISOR" run --proc=hide -- echo run

heading 'an ordinary user'
look "$kernels" '' $user "$SHMVISOR" run -- bash look
look "$kernels" 'warning: --proc=off' $user "$SHMVISOR" run --proc=off -- bash look
refused 'mount namespace.*--userns' $user "$SHMVISOR" run --proc=fuse -- echo run
refused 'mount namespace.*--userns' $user "$SHMVISOR" run --proc=hide -- echo run
timeout 60 "$SHMVISOR" run --proc=none -- true 2>err
expect "a mode that there is not" 125 $?

heading 'an ordinary user with --userns, who may not open /dev/fuse'
chmod 600 "$scratch/dev/fuse"
look "$kernels" 'warning: --userns: .*/dev/fuse: Permission denied.*chmod 666' $user "$SHMVISOR" run --userns -- bash look
refused '/dev/fuse: Permission denied.*chmod 666' $user "$SHMVISOR" run --userns --proc=fuse -- echo run
chmod 666 "$scratch/dev/fuse"

heading 'an ordinary user with --userns'
need_user_namespaces
look "$ours" '' $user "$SHMVISOR" run --userns -- bash look
look "$ours" '' $user "$SHMVISOR" run --userns --proc=fuse -- bash look
look "$hidden" '' $user "$SHMVISOR" run --userns --proc=hide -- bash look

# Their own ids, nobody else's; no capability left, and none to be had.
look '1000 1000 1000 1000 0000000000000000 1' '' $user "$SHMVISOR" run --userns -- bash -c '
  status() { sed -n "s/^$1:\t//p" /proc/self/status; }
  echo $(id -u) $(id -g) $(id -ru) $(id -rg) $(status CapEff) $(status NoNewPrivs)'
install -m 4755 "$(command -v id)" setuid_id || fail install
look '1000' '' $user "$SHMVISOR" run --userns -- ./setuid_id -u
# Writing takes the root of the namespace that the supervisor lives in; reading, nothing.
look '4096 refused' '' $user "$SHMVISOR" run --userns -- bash -c '
  { echo 5 >/proc/sys/kernel/shmmni; } 2>/dev/null && echo written || echo $(cat /proc/sys/kernel/shmmni) refused'

heading 'user namespaces forbidden'
# The limit of a user namespace that is ours alone.
refused 'user namespace.*without --userns' unshare --user --map-root-user bash -c '
  echo 0 >/proc/sys/user/max_user_namespaces && exec "$0" run --userns -- echo run' "$SHMVISOR"

heading 'without /dev/fuse'
umount /dev/fuse
chmod 600 "$scratch/dev/fuse"
mount --bind /dev/null /dev/fuse || fail "bind mount"
look "$kernels" '' "$SHMVISOR" run -- bash look
look "$kernels" 'info: .*kernel.s segments' "$SHMVISOR" run --log-level=info -- bash look
refused 'FUSE.*--proc=off' "$SHMVISOR" run --proc=fuse -- echo run
look "$hidden" '' "$SHMVISOR" run --proc=hide -- bash look
umount /dev/fuse
assert_kernel_table_empty
