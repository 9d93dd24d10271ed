#!/bin/bash
# Who attacks: an ordinary user whom root lets join. It lies about how its callers wait, answers its
# own calls behind the server's back, and comes again and again. What must stay true: others join and are served at once, and what the user
# makes the server keep (threads, descriptors, log lines) is bounded.
. "$(dirname "$0")/../lib.sh" || exit 1
need python3 python3
here=$(realpath "$(dirname "$0")")
enter_namespaces "$@"
make_scratch
copy_shmvisor_to_scratch
chmod 777 "$scratch"
cd "$scratch" || fail cd
cp "$here/attacker.py" "$here/crowd.py" "$here/many_uids.py" . || fail cp
attacker='/usr/bin/python3 -B attacker.py 7'
bound='timeout --kill-after=10 100'
nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all -- "$@"; }
"$SHMVISOR" run --serve socket -- $attacker victim secret over >victim 2>victim.err &
victim=$!
wait_until 60 grep -qx ready victim || fail "no victim: $(cat victim.err)"
chmod 666 socket
threads() { find "/proc/$victim/task" -mindepth 1 -maxdepth 1 | wc -l; }
descriptors() { find "/proc/$victim/fd" -mindepth 1 -maxdepth 1 | wc -l; }
# bystander NAME: somebody else joins and is served.
bystander() {
  local begin=$EPOCHREALTIME
  timeout --kill-after=5 30 "$SHMVISOR" run --join socket --proc=off --log-level=off -- /usr/bin/python3 -B attacker.py 9 create create \
    >got 2>&1 || fail "$1: a bystander: status $?: $(cat got)"
  expect "$1: a bystander" 'create: succeeds|create: succeeds|' "$(tr '\n' '|' <got)"
  echo "$1: a bystander joins and makes two segments in $(awk "BEGIN { print $EPOCHREALTIME - $begin }") s"
}
bystander "before"
wait_until 20 test "$(threads)" -le 20
threads_before=$(threads)
descriptors_before=$(descriptors)

heading "callers that signals do not end, and one that answers its calls itself"
nobody $bound $attacker join-killable socket create create create >got 2>got.err || fail "killable: $? $(cat got.err)"
expect "killable" 'create: succeeds|create: succeeds|create: succeeds|' "$(tr '\n' '|' <got)"
nobody timeout --signal=KILL 5 $attacker join-killable socket forge create create create create create create >got 2>got.err
bystander "forged answers"

heading "a crowd"
# Not through a function, so that it is that process itself that is killed.
setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all -- \
  /usr/bin/python3 -B crowd.py socket 300 >crowd 2>&1 &
crowd=$!
wait_until 60 grep -qx ready crowd || fail "no crowd: $(cat crowd)"
bystander "a crowd"
[ "$(threads)" -le 400 ] || fail "$(threads) threads"
[ "$(wc -l <victim.err)" -le 20 ] || fail "$(wc -l <victim.err) log lines"
echo "with a crowd: $(threads) threads, $(descriptors) descriptors, $(wc -l <victim.err) log lines"
kill -KILL "$crowd" 2>/dev/null
wait "$crowd" 2>/dev/null
calm() { [ "$(threads)" -le $((threads_before + 3)) ] && [ "$(descriptors)" -le $((descriptors_before + 8)) ]; }
wait_until 60 calm || fail "$(threads) threads and $(descriptors) descriptors are left of $threads_before and $descriptors_before"
bystander "afterwards"

heading "a user with many uids"
mkfifo stay
/usr/bin/python3 -B many_uids.py socket 100 <stay >many 2>&1 &
many=$!
exec 8>stay
wait_until 60 test -s many || fail "no users"
grep -qx '[0-9]*' many || fail "$(cat many)"
echo "$(cat many) of its 100 may join"
[ "$(cat many)" -ge 1 ] && [ "$(cat many)" -le 64 ] || fail "one user has $(cat many) joined commands"
bystander "a user with many uids"
exec 8>&-
wait "$many" || fail "many_uids.py: $(cat many)"
wait_until 60 calm || fail "$(threads) threads and $(descriptors) descriptors are left of $threads_before and $descriptors_before"
touch over
wait "$victim" || fail "the victim ended with $?: $(cat victim.err)"
expect "the victim" "ready|it holds: secret|it is there: succeeds|" "$(tr '\n' '|' <victim)"
assert_kernel_table_empty
