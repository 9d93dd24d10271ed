#!/bin/bash
# Set-user-ID programs keep working where shmvisor has CAP_SYS_ADMIN, and gain nothing where it has not.
. "$(dirname "$0")/../lib.sh" || exit 1
need perl perl
enter_namespaces "$@"
make_scratch
copy_shmvisor_to_scratch
cd "$scratch" || fail cd
install -m 4755 "$(command -v id)" setuid_id || fail install
install -m 4755 "$(command -v ipcmk)" setuid_ipcmk || fail install
[ "$(as_user ./setuid_id -u)" = 0 ] || skip "set-user-ID programs do not work in $(dirname "$scratch")"

# The user without capabilities keeps a bounding set here, or the program could not gain any.
user='setpriv --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all --'
# shellcheck disable=SC2086
{
  expect "under root" 0 "$(supervised $user ./setuid_id -u 2>&1)"
  expect "under root, no_new_privs" 0 "$(supervised awk '/^NoNewPrivs/ {print $2}' /proc/self/status)"
  expect "as a user" 1000 "$($user "$SHMVISOR" run -- ./setuid_id -u 2>&1)"
  expect "as a user, no_new_privs" 1 "$($user "$SHMVISOR" run -- awk '/^NoNewPrivs/ {print $2}' /proc/self/status)"
}

# A segment of a set-user-ID program belongs to the effective user.
cat >session <<'END'
set -eu
made=$(./setuid_ipcmk -M 4096 -p 0644)
perl -MIPC::SysV=IPC_STAT -MIPC::SharedMem -e '
  my $stat = "";
  shmctl($ARGV[0], IPC_STAT, $stat) or die "IPC_STAT: $!";
  my $segment = IPC::SharedMem::stat::->new->unpack($stat);
  printf "uid %d gid %d\n", $segment->uid, $segment->gid;' "${made##* }"
ipcrm -m "${made##* }" 2>/dev/null && echo removed || echo refused
END
# shellcheck disable=SC2086
supervised $user bash session >out 2>err || fail "status $?: $(cat out err)"
expect "owner" "uid 0 gid 1000
refused" "$(cat out)"
assert_silent err
assert_kernel_table_empty
