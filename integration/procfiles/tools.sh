#!/bin/bash
# The programs that read /proc: ipcs, lsipc and sysctl print what they print on the kernel's own
# segments, but for times.
. "$(dirname "$0")/../lib.sh" || exit 1
need ipcs util-linux
need lsipc util-linux
need sysctl procps
need perl perl
need busybox busybox-static
enter_namespaces "$@"
make_scratch

cat >"$scratch/session" <<'END'
# Standard output is compared; every command ends it with its status.
run() { printf '$ %s\n' "$*"; "$@" 2>&1; printf 'status %d\n' $?; }
segment() { perl -MIPC::SysV -e 'print shmget($ARGV[0], $ARGV[1], oct($ARGV[2]) | 01000), "\n"' "$@"; }
run ipcs -m
run segment 1234 5000 640
run segment 4294967294 1048576 600
run segment 77 1 777
perl -MIPC::SharedMem -e '
  my $segment = IPC::SharedMem->new(1234, 0, 0) or die "shmget: $!";
  $segment->attach or die "shmat: $!";
  $segment->write("x", 0, 1);
  $segment->detach;'
for options in '' '-a' '-c' '-t' '-p' '-u' '-l' '-b' '--human' '-i 0' '-i 2' '-i 99'; do
  run ipcs -m $options
done
run ipcs
for options in '' '-i 0' '-i 77' '-t' '-c' '-b' '-J' '-r -o KEY,ID,PERMS,OWNER,SIZE,NATTCH,UID,GID,CUID,CGID'; do
  run lsipc -m $options
done
run lsipc -g
run cat /proc/sysvipc/shm
run wc -l /proc/sysvipc/shm
run grep -c . /proc/sysvipc/shm
run head -c 100 /proc/sysvipc/shm
run tail -n 1 /proc/sysvipc/shm
cp /proc/sysvipc/shm copy && run cmp copy /proc/sysvipc/shm
# By sendfile(2), where the file takes it.
run busybox cat /proc/sysvipc/shm
run busybox cat /proc/sys/kernel/shmmax
busybox cp /proc/sys/kernel/shmmni copy && run cat copy
run stat -c '%s %n' /proc/sysvipc/shm /proc/sys/kernel/shmmax
run dd if=/proc/sysvipc/shm bs=7 of=copy status=none
run cmp copy /proc/sysvipc/shm
run ls -l /proc/sys/kernel/shmmax /proc/sys/kernel/shmall /proc/sys/kernel/shmmni /proc/sys/kernel/shm_rmid_forced \
  /proc/sys/kernel/shm_next_id
run sysctl kernel.shmmax kernel.shmall kernel.shmmni kernel.shm_rmid_forced kernel.shm_next_id
run sysctl -a -r '^kernel\.shm'
run sysctl -w kernel.shmmax=4096 kernel.shmall=1000 kernel.shmmni=4
run ipcs -l -m
run lsipc -g
run segment 5 4097 600
run segment 5 4096 600
run segment 6 1 600
run sysctl -w kernel.shmmni=40000
run sysctl -w kernel.shmmax=-5
run sysctl -w kernel.shm_next_id=20
run sysctl -w kernel.shmmni=4096
run segment 6 1 600
echo 0x2000 >/proc/sys/kernel/shmmax && run cat /proc/sys/kernel/shmmax
printf 8200 | tee /proc/sys/kernel/shmmax && run cat /proc/sys/kernel/shmmax
run ipcrm -M 1234
run ipcrm --all=shm
run ipcs -m
END

# What differs between any two runs; pids do not, since each is alone in a new pid namespace.
normalise() {
  sed -E -e 's/(SHMMAX|SHMALL|SHMMNI)( +[^ ]+ +[^ ]+) .*/\1\2/' \
    -e 's/[A-Z][a-z]{2} [ 0-9]?[0-9] [0-9:]{5,8}( +)?/TIME /g' -e 's/[0-9]{2}:[0-9]{2}(:[0-9]{2})?/TIME/g' \
    -e 's/\b1[0-9]{9}\b/SECONDS/g' -e 's/TIME *(TIME *)*/TIME /g' -e 's/[ \t]+$//' "$1"
}

cd "$scratch" || fail cd
timeout --kill-after=10 60 unshare --ipc --pid --fork --kill-child --mount-proc bash session >native 2>native.err </dev/null ||
  fail "natively: status $?: $(cat native.err)"
supervised unshare --pid --fork --kill-child bash session >ours 2>ours.err </dev/null ||
  fail "status $?: $(cat ours.err)"
for file in native ours; do
  normalise "$file" >"$file.txt"
done
diff -u native.txt ours.txt || fail "what the programs print differs"
expect "standard error" "$(cat native.err)" "$(cat ours.err)"
grep -q '^ *1234 ' ours || fail "the session shows no segment"
assert_kernel_table_empty
echo "$(wc -l <ours) lines alike"
