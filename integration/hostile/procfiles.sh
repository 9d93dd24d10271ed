#!/bin/bash
# Who attacks: a process that is number 1 of a pid namespace of its own, joined to root's run. The
# files in /proc are judged by the number that a request has, and number 1 of the server's pid
# namespace is root's. What must stay true: it sets no limit of root's run, and reads its own table.
. "$(dirname "$0")/../lib.sh" || exit 1
need python3 python3
need unshare util-linux
attacker=$(realpath "$(dirname "$0")/attacker.py")
enter_namespaces "$@"
[ -w /dev/fuse ] || skip "no /dev/fuse"
make_scratch
copy_shmvisor_to_scratch
chmod 777 "$scratch"
cd "$scratch" || fail cd
cp "$attacker" "$(dirname "$attacker")/number_one.py" . || fail cp
attacker='/usr/bin/python3 -B attacker.py 7'
bound='timeout --kill-after=10 100'
by_nobody='setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all --'
nobody() { $by_nobody "$@"; }
nobody unshare --user --map-root-user --pid --fork --mount-proc true 2>err ||
  skip "no user namespaces for ordinary users: $(cat err)"

$bound "$SHMVISOR" run --serve socket --log-level=off --shmmni 9 --proc=fuse -- \
  $attacker victim secret over >victim 2>victim.err &
victim=$!
wait_until 60 grep -qx ready victim || fail "no victim: $(cat victim.err)"
chmod 666 socket
limits='limit /proc/sys/kernel/shmmni limit /proc/sys/kernel/shmmax limit /proc/sys/kernel/shm_rmid_forced'

heading "root, in a pid namespace of its own"
$bound unshare --pid --fork --kill-child --mount-proc "$SHMVISOR" run --join socket --proc=fuse -- \
  bash -c 'wc -l </proc/sysvipc/shm; cat /proc/sys/kernel/shmmni; echo 8 >/proc/sys/kernel/shmmni; cat /proc/sys/kernel/shmmni' \
  >got 2>got.err || fail "status $?: $(cat got.err)"
expect "which is known in there too" '2 9 8' "$(tr '\n' ' ' <got | sed 's/ $//')"

heading "a user"
for around in '' "unshare --pid --fork --kill-child --mount-proc"; do
  $bound $around $by_nobody "$SHMVISOR" run --join socket --userns --proc=fuse --log-level=off -- $attacker $limits \
    >got 2>got.err || fail "status $?: $(cat got.err)"
  expect "what it could set" "limit: EACCES|limit: EACCES|limit: EACCES|" "$(tr '\n' '|' <got)"
done

heading "a user, as number 1 of a pid namespace"
$bound unshare --pid --fork --kill-child --mount-proc $by_nobody /usr/bin/python3 -B number_one.py "$SHMVISOR" socket \
  >got 2>got.err || fail "status $?: $(cat got.err)"
expect "what it could set" "shmmni 8 EACCES|shmmax 18446744073692774399 EACCES|shmall 18446744073692774399 EACCES|\
shm_rmid_forced 0 EACCES|" "$(tr '\n' '|' <got)"

heading "a mount namespace that somebody keeps"
nobody "$SHMVISOR" run --join socket --userns --proc=fuse --log-level=off -- sh -c 'echo $$ >up; exec sleep 3' &
joiner=$!
wait_until 30 test -s up || fail "no joined command"
nobody sh -c 'exec 9</proc/$1/ns/mnt; exec sleep 100' sh "$(cat up)" &
keeper=$!
wait "$joiner"
expect "the joined command's status" 0 $?

heading "the limits of root's run"
$bound "$SHMVISOR" run --join socket --proc=fuse -- cat /proc/sys/kernel/shmmni /proc/sys/kernel/shm_rmid_forced \
  >got 2>got.err || fail "status $?: $(cat got.err)"
expect "as they were" '8 0' "$(tr '\n' ' ' <got | sed 's/ $//')"
kill -0 "$keeper" || fail "nobody keeps the mount namespace"
touch over
ended() { ! kill -0 "$victim" 2>/dev/null; }
wait_until 10 ended || fail "whoever keeps a mount namespace keeps root's run"
wait "$victim" || fail "the victim ended with $?: $(cat victim.err)"
kill "$keeper"
expect "the victim" "ready|it holds: secret|it is there: succeeds|" "$(tr '\n' '|' <victim)"
assert_kernel_table_empty
