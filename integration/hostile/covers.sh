#!/bin/bash
# Who attacks: an ordinary user who makes IPC namespaces by the hundred, in a mount namespace that is
# root's. Our files are mounted there for each. What must stay true: that number is bounded, others
# get their own, and all are gone with the namespaces.
# shellcheck disable=SC2016
. "$(dirname "$0")/../lib.sh" || exit 1
. "$(dirname "$0")/../procfiles/fuse.sh" || exit 1
need python3 python3
need unshare util-linux
covers=$(realpath "$(dirname "$0")/covers.py")
enter_namespaces "$@"
make_scratch
need_fuse
copy_shmvisor_to_scratch
chmod 777 "$scratch"
cd "$scratch" || fail cd
cp "$covers" . || fail cp
user() { echo "setpriv --reuid $1 --regid $1 --clear-groups --inh-caps=-all --bounding-set=-all --"; }
$(user 65534) unshare --user --map-root-user --ipc true 2>err ||
  skip "no user namespaces for ordinary users: $(cat err)"
mkdir -m 777 attacker other again || fail mkdir

cat >session <<END
mounts() { grep -c 'fuse shmvisor ' /proc/self/mountinfo; }
ready() { for _ in {1..2000}; do [ -e "\$1/ready" ] && return; sleep 0.05; done; echo "\$1 is not ready"; exit 1; }
before=\$(mounts)
begin=\$SECONDS
$(user 65534) /usr/bin/python3 -B covers.py 300 attacker & attacker=\$!
ready attacker
echo "300 namespaces took \$((SECONDS - begin)) s" >&2
echo "added mounts: \$((\$(mounts) - before))"
$(user 65533) /usr/bin/python3 -B covers.py 1 other & other=\$!
ready other
echo "another user's: \$((\$(mounts) - before))"
echo "root's: \$(unshare --ipc sh -c 'echo 99 >/proc/sys/kernel/shmmni; cat /proc/sys/kernel/shmmni; grep -c "fuse shmvisor " /proc/self/mountinfo')"
touch attacker/go other/go
wait "\$attacker" || echo "the attacker: status \$?"
wait "\$other" || echo "the other: status \$?"
# shmvisor keeps a namespace with a segment until a sweep finds no use of it.
for _ in {1..1500}; do [ "\$(mounts)" = "\$before" ] && break; sleep 0.1; done
echo "afterwards: \$((\$(mounts) - before))"
$(user 65534) /usr/bin/python3 -B covers.py 2 again & again=\$!
ready again
echo "again: \$((\$(mounts) - before))"
touch again/go
wait "\$again"
END
heading 'IPC namespaces by the hundred'
timeout --kill-after=10 280 "$SHMVISOR" run --proc=fuse --log-level=warning -- bash session >out 2>err ||
  fail "status $?: $(cat err out)"
cat err
# 64 of the user's, with five files each.
expect "what was mounted" "added mounts: 320
another user's: 325
root's: 99
337
afterwards: 0
again: 10" "$(cat out)"
expect "in the first namespace, which is covered" 1 "$(cat attacker/first)"
expect "in the last one, which has the kernel's limits" 3 "$(cat attacker/last)"
expect "another user's" 1 "$(cat other/first)"
expect "after others are gone" '1 1' "$(cat again/first) $(cat again/last)"
warnings=$(grep -c "sees the kernel's limits" err)
if [ "$warnings" -lt 1 ] || [ "$warnings" -gt 60 ]; then fail "$warnings warnings"; fi
