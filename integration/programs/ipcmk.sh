#!/bin/bash
# util-linux: a segment made by ipcmk, seen by a second process, removed by ipcrm by id and by key.
. "$(dirname "$0")/../lib.sh" || exit 1
need ipcmk util-linux
need perl perl
enter_namespaces "$@"
make_scratch

cat >"$scratch/session" <<'END'
set -eu
made=$(ipcmk -M 65536 -p 0640)
echo "$made" | sed 's/[0-9]\+$/N/'
id=${made##* }
perl -MIPC::SysV=IPC_STAT -e '
  use IPC::SharedMem;
  my $stat = "";
  shmctl($ARGV[0], IPC_STAT, $stat) or die "IPC_STAT: $!";
  my $segment = IPC::SharedMem::stat::->new->unpack($stat);
  printf "size %d mode %o nattch %d\n", $segment->segsz, $segment->mode, $segment->nattch;' "$id"
ipcrm -m "$id"
ipcrm -m "$id" 2>&1 && echo "removed twice" || echo "gone"
second=$(ipcmk -M 1)
ipcrm -a=shm 2>&1 || true
ipcrm -M 0x4d2 2>&1 || echo "no such key"
perl -e 'defined(shmget(1234, 100, 0600 | 01000)) or die "shmget: $!"'
ipcrm -M 1234
ipcrm -M 1234 2>&1 || echo "no such key"
END
supervised bash "$scratch/session" >"$scratch/out" 2>"$scratch/err" ||
  fail "status $?: $(cat "$scratch/out" "$scratch/err")"
assert_silent "$scratch/err"
expect "what was seen" "Shared memory id: N
size 65536 mode 640 nattch 0" "$(head -n 2 "$scratch/out")"
grep -q 'gone' "$scratch/out" || fail "the second ipcrm did not fail: $(cat "$scratch/out")"
expect "refused keys" 2 "$(grep -c '^no such key' "$scratch/out")"
assert_kernel_table_empty
