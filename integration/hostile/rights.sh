#!/bin/bash
# Who attacks: an ordinary user whom root lets join, or whose container is in a group with another.
# It may make a user namespace and an IPC namespace, in which it is root; it uses a filter of its own
# that does not show that. What must stay true: all that it can do to somebody else's segment of mode
# 0600 is what it can natively, in the IPC namespace that the segment was made in.
. "$(dirname "$0")/../lib.sh" || exit 1
need python3 python3
need unshare util-linux
attacker=$(realpath "$(dirname "$0")/attacker.py")
enter_namespaces "$@"
make_scratch
copy_shmvisor_to_scratch
chmod 777 "$scratch"
cd "$scratch" || fail cd
cp "$attacker" . || fail cp
attacker='/usr/bin/python3 -B attacker.py 7'
bound='timeout --kill-after=10 100'
nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all -- "$@"; }
nobody unshare --user --ipc true 2>err || skip "no user namespaces for ordinary users: $(cat err)"
# What the last one said must not be taken for the next one's: its shell truncates the file only later.
forget() { rm -f "$@"; }
ready() { wait_until 60 grep -qx ready "$1" || fail "no victim: $(cat "$1" ./*.err)"; }

# ended NAME: the victim says that nothing was done to it.
ended() {
  touch over
  wait "$victim" || fail "$1: the victim ended with $?: $(cat victim.err)"
  expect "$1: the victim" "ready|it holds: secret|it is there: succeeds|" "$(tr '\n' '|' <victim)"
  rm -f over
}
# denied NAME FILE: as natively.
denied() { diff -u native "$2" || fail "$1: more or less than natively"; }

heading "natively"
cat >session <<'END'
$bound $attacker victim secret over >victim 2>victim.err &
wait_until 60 grep -qx ready victim || fail "no victim"
nobody $bound $attacker user attack >native 2>native.err || fail "the attack: $(cat native.err)"
touch over
wait
END
export -f nobody wait_until fail
export bound attacker
unshare --ipc bash session || fail "the native session"
expect "the native victim" "it holds: secret" "$(sed -n 2p victim)"
grep -c succeeds native | grep -qx 0 || fail "natively it can: $(cat native)"
rm -f over

heading "a filter that does not show unshare"
forget victim
$bound "$SHMVISOR" run --serve socket --log-level=off -- $attacker victim secret over >victim 2>victim.err &
victim=$!
ready victim
chmod 666 socket
for before in 'user' 'look user'; do
  nobody $bound $attacker join socket $before attack >got 2>got.err || fail "$before: $(cat got.err)"
  denied "joined, then $before" got
done

heading "namespaces around who joins"
nobody $bound $attacker user ipc join socket attack >got 2>got.err || fail "its own filter: $(cat got.err)"
denied "in namespaces of its own" got
# There shmvisor itself cannot tell that the server is root's, and does not join.
nobody unshare --user --map-root-user --ipc $bound "$SHMVISOR" run --join socket --log-level=off -- \
  $attacker attack >got 2>got.err
expect "shmvisor in namespaces of its own" 125 $?
nobody $bound "$SHMVISOR" run --join socket --log-level=off -- $attacker look user attack >got 2>got.err ||
  fail "joined as it should be: $(cat got.err)"
denied "joined as it should be" got
ended "run --serve"

heading "containers of one group"
# Whoever comes first, and whatever user namespaces they have.
"$SHMVISOR" agent --socket agent.sock --log-level=off &
agent=$!
wait_until 20 test -S agent.sock || fail "no agent"
forget victim
$bound $attacker ipc contained agent.sock group victim secret over >victim 2>victim.err &
victim=$!
ready victim
for namespaces in 'ipc contained agent.sock group become user' 'become user ipc contained agent.sock group'; do
  $bound $attacker $namespaces attack >got 2>got.err || fail "$namespaces: $(cat got.err)"
  denied "a container that did $namespaces" got
done
ended "group"

forget got victim
$bound $attacker become user ipc contained agent.sock later say ready wait go attack >got 2>got.err &
first=$!
ready got
$bound $attacker ipc contained agent.sock later victim secret over >victim 2>victim.err &
victim=$!
ready victim
touch go
wait "$first" || fail "the first container: $(cat got.err)"
sed -i 1d got
denied "a container that was there first" got
ended "group"
kill "$agent"
wait "$agent"
assert_kernel_table_empty
