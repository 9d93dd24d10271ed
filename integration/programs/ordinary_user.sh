#!/bin/bash
# shmvisor started by an ordinary user who has no capability: tools of that user work, segments
# are that user's, and no privilege is gained.
. "$(dirname "$0")/../lib.sh" || exit 1
need setpriv util-linux
need perl perl
enter_namespaces "$@"
make_scratch
copy_shmvisor_to_scratch
cd "$scratch" || fail cd

cat >session <<'END'
set -eu
id -u
made=$(ipcmk -M 4096)
perl -MIPC::SysV=IPC_STAT -MIPC::SharedMem -e '
  my $stat = "";
  shmctl($ARGV[0], IPC_STAT, $stat) or die "IPC_STAT: $!";
  my $segment = IPC::SharedMem::stat::->new->unpack($stat);
  printf "uid %d gid %d cuid %d size %d\n", $segment->uid, $segment->gid, $segment->cuid, $segment->segsz;
  shmwrite($ARGV[0], "mine", 0, 4) or die "shmwrite: $!";
  shmread($ARGV[0], my $text, 0, 4) or die "shmread: $!";
  print "$text\n";' "${made##* }"
ipcrm -m "${made##* }"
grep -E '^Cap(Eff|Prm|Bnd)' /proc/self/status
END
as_user timeout --kill-after=10 60 "$SHMVISOR" run -- bash session >out 2>err ||
  fail "status $?: $(cat out err)"
assert_silent err
cat >wanted <<'END'
1000
uid 1000 gid 1000 cuid 1000 size 4096
mine
CapPrm:	0000000000000000
CapEff:	0000000000000000
CapBnd:	0000000000000000
END
diff -u wanted out || fail "unexpected output"
assert_kernel_table_empty
