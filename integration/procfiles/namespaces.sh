#!/bin/bash
# The mount namespace that the command gets: what it changes, what it leaves, and namespaces inside.
# shellcheck disable=SC2016
. "$(dirname "$0")/../lib.sh" || exit 1
. "$(dirname "$0")/fuse.sh" || exit 1
need unshare util-linux
need sysctl procps
need python3 python3
here=$(cd "$(dirname "$0")" && pwd)
enter_namespaces "$@"
make_scratch
need_fuse
cd "$scratch" || fail cd

# prints WANTED SCRIPT: what the script prints when it is the command.
prints() {
  local wanted=$1
  got=$(timeout --kill-after=10 150 "$SHMVISOR" run --proc=fuse -- bash -c "$2" 2>"$scratch/err" </dev/null) ||
    fail "status $? of: $2: $(cat "$scratch/err")"
  expect "$2" "$wanted" "$got"
  assert_silent "$scratch/err"
}
sizes='sizes() { sed 1d /proc/sysvipc/shm | while read -r key id mode size rest; do printf "%s " "$size"; done; }; '

heading 'mounts below /proc and no others'
mounts() { sed -E 's/^[0-9]+ [0-9]+ [0-9]+:[0-9]+ [^ ]+ ([^ ]+) .* - ([^ ]+) .*/\1 \2/' /proc/self/mountinfo; }
mounts | sort >outside
timeout 60 "$SHMVISOR" run -- bash -c "$(declare -f mounts); mounts" | sort >inside || fail "status $?"
# A mount elsewhere may go meanwhile: whoever removes a folder outside unmounts it everywhere.
diff outside inside | sed -n '/^>/p; /^< \/proc/p' | sort >difference
# The folder of our files is beneath the whole /proc from Linux 6.15 on.
expect "added mounts" '> /proc/sys/kernel/shm_next_id fuse
> /proc/sys/kernel/shm_rmid_forced fuse
> /proc/sys/kernel/shmall fuse
> /proc/sys/kernel/shmmax fuse
> /proc/sys/kernel/shmmni fuse
> /proc/sysvipc/shm fuse
> /proc/tty/ldisc proc' "$(grep -v -e binfmt_misc -e 'ldisc fuse' difference)"

heading 'mounts come in and go out'
mkdir shared && mount -t tmpfs tmpfs shared && mount --make-shared shared || fail "mount"
mkdir shared/in shared/out
mkfifo shared/go shared/ready
timeout --kill-after=10 60 "$SHMVISOR" run -- bash -c '
  cd shared && mount -t tmpfs tmpfs out && echo made >out/file && echo >ready && read -r _ <go && cat in/file' >out 2>err &
run=$!
read -r _ <shared/ready
expect "a mount of the command's" made "$(cat shared/out/file)"
mount -t tmpfs tmpfs shared/in && echo later >shared/in/file && echo >shared/go
wait "$run" || fail "status $?: $(cat err)"
expect "a mount made later" later "$(cat out)"
umount -R shared || fail "umount"
expect "nothing of ours outside" 0 "$(grep -c shmvisor /proc/self/mountinfo)"

heading 'working folder and descriptors'
mkdir folder && cd folder || fail cd
echo content >file
exec 8<file 9<"$scratch"
prints "$scratch/folder content" 'echo $(pwd -P) $(cat <&8)'
exec 8<&-
cd /proc/sys/kernel || fail cd
prints 4096 'cat shmmni'
cd "$scratch" || fail cd
exec 9<&-

heading 'a mount namespace inside'
prints '5000 4096' "$sizes"'ipcmk -M 5000 >made; unshare --mount bash -c "$(declare -f sizes); echo \$(sizes) \$(cat /proc/sys/kernel/shmmni)"'

heading 'a /proc of its own is the kernel'"'"'s'
prints '0 segments' 'ipcmk -M 5000 >made; unshare --pid --fork --mount-proc bash -c "echo \$((\$(wc -l </proc/sysvipc/shm) - 1)) segments"'
if unshare --user --map-root-user --pid --fork --mount-proc true 2>err; then
  prints 'a sandbox' 'unshare --user --map-root-user --pid --fork --mount-proc echo a sandbox'
else
  echo "not compared: no sandbox with a /proc of its own outside either: $(cat err)"
fi

heading 'IPC namespaces inside'
prints '5000 6000 5000' "$sizes"'
  ipcmk -M 5000 >made
  echo $(sizes) $(unshare --ipc bash -c "$(declare -f sizes); ipcmk -M 6000 >made; sizes") $(sizes)'
# Limits too are each namespace's own, also for those that make no shm call, and for who enters it later.
prints '4096 77
kernel.shmmni = 99
99 77
4096' '
  echo 77 >/proc/sys/kernel/shmmni
  mkfifo go
  unshare --ipc bash -c "echo \$(cat /proc/sys/kernel/shmmni) 77; exec sleep 60" &
  inner=$!
  wait_for_namespace() { until [ "$(readlink /proc/$inner/ns/ipc)" != "$(readlink /proc/self/ns/ipc)" ] &&
    [ "$(cat /proc/$inner/comm)" = sleep ]; do sleep 0.05; done; }
  wait_for_namespace
  nsenter --ipc --target $inner sysctl -w kernel.shmmni=99
  echo $(nsenter --ipc --target $inner cat /proc/sys/kernel/shmmni) $(cat /proc/sys/kernel/shmmni)
  unshare --ipc cat /proc/sys/kernel/shmmni
  kill $inner'
rm -f go
expect "the kernel's own shmmni" 0 "$(cat /proc/sys/kernel/shmmni)"
# A child that has the namespace from its first instruction on.
heading 'IPC namespaces by clone(2)'
cp "$here/clone.py" . || fail cp
prints '4096 77
kernel.shmmni = 99
99 77
full
5000 6000' "$sizes"'
  echo 77 >/proc/sys/kernel/shmmni
  clone() { python3 -B clone.py bash -c "$1"; }
  clone "echo \$(cat /proc/sys/kernel/shmmni) 77"
  clone "sysctl -w kernel.shmmni=99; cat /proc/sys/kernel/shmmni | tr \"\n\" \" \""
  cat /proc/sys/kernel/shmmni
  clone "echo 1 >/proc/sys/kernel/shmmni; ipcmk -M 1 >one; ipcmk -M 1 >two 2>&1 || echo full"
  ipcmk -M 5000 >made
  clone "$(declare -f sizes); ipcmk -M 6000 >made; sizes >inner"
  echo $(sizes) $(cat inner)'
# A process without the right to: nobody has a child, and the call fails at once.
prints 'clone(2) fails 4096' '
  setpriv --reuid 65534 --clear-groups /usr/bin/python3 -B clone.py true 2>failed
  echo $(cat failed) $(cat /proc/sys/kernel/shmmni)'
if bwrap --dev-bind / / --unshare-ipc true 2>err; then
  prints '4096
full
77' '
    echo 77 >/proc/sys/kernel/shmmni
    bwrap --dev-bind / / --unshare-ipc bash -c "cat /proc/sys/kernel/shmmni
      echo 1 >/proc/sys/kernel/shmmni; ipcmk -M 1 >one; ipcmk -M 1 >two 2>&1 || echo full"
    cat /proc/sys/kernel/shmmni'
  prints 0 'bwrap --ro-bind / / --unshare-ipc true; echo $?'
  prints 0 'bwrap --ro-bind / / --dev /dev --proc /proc --unshare-all true; echo $?'
else
  echo "not tried: bwrap --unshare-ipc: $(cat err)"
fi
expect "the kernel's own shmmni" 0 "$(cat /proc/sys/kernel/shmmni)"
cp "$here/beside_mounts.py" . || fail cp
prints '400 of 400' 'python3 -B beside_mounts.py 400'
# A nested mount namespace that was there before the IPC namespace.
prints '4096 EINVAL' '
  unshare --mount sleep 60 &
  inner=$!
  until [ "$(cat /proc/$inner/comm)" = sleep ]; do sleep 0.05; done
  unshare --ipc nsenter --mount --target $inner bash -c "
    before=\$(cat /proc/sys/kernel/shmmni)
    echo 5000 >/proc/sys/kernel/shmmax
    ipcmk -M 5001 >/dev/null 2>&1 || echo \$before EINVAL"
  kill $inner'
assert_kernel_table_empty
