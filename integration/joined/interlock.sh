#!/bin/bash
# Two PostgreSQL servers on one data directory. What keeps the second out, after the first was killed
# and left a backend behind, is the segment that the backend still has (shm_nattch): natively, and
# under run --join-or-serve, where both find it.
. "$(dirname "$0")/../lib.sh" || exit 1
ls -d /usr/lib/postgresql/*/bin >/dev/null 2>&1 || skip "PostgreSQL is missing (Debian package postgresql)"
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd
user='setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --'
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
export LC_ALL=C PGHOST=$scratch PGDATABASE=postgres PGUSER=tester PGCONNECT_TIMEOUT=60 HOME=$scratch
chmod 777 "$scratch"  # for the socket of the database
echo 4096 >/proc/sys/kernel/shmmni
answers() { "$bin/psql" -AtXqc 'select 1'; }
gone() { ! kill -0 "$1" 2>/dev/null || [ "$(awk '{ print $3 }' "/proc/$1/stat")" = Z ]; }

# What a second server says for itself, and what it ends with. serving COMMAND...: in front of both.
session() {
  rm -rf data
  install -d -o 65534 -g 65534 -m 700 data
  "$@" $user "$bin/initdb" -D data -U tester -A trust --no-sync >log 2>&1 || fail "initdb: $(cat log)"
  local options="-D data -k $scratch -c listen_addresses= -c shared_buffers=1MB -c fsync=off"
  "$@" $user "$bin/postgres" $options >first 2>&1 &
  local first=$!
  failure_log=first
  wait_until 60 answers || fail "no answer"
  local postmaster backend
  postmaster=$(head -n 1 data/postmaster.pid)
  "$bin/psql" -AtXqc 'select pg_sleep(100)' >/dev/null 2>&1 &
  local client=$!
  wait_until 30 sh -c "'$bin/psql' -AtXqc \"select pid from pg_stat_activity where query like '%sleep(100)%' and pid <> pg_backend_pid()\" | grep ." ||
    fail "no backend"
  backend=$("$bin/psql" -AtXqc "select pid from pg_stat_activity where query like '%sleep(100)%' and pid <> pg_backend_pid()")
  kill -STOP "$backend"
  kill -KILL "$postmaster"
  wait_until 30 gone "$postmaster" || fail "the postmaster lives"
  timeout --kill-after=10 60 "$@" $user "$bin/postgres" $options >second 2>&1
  echo "a second server: status $?"
  sed -n 's/.*FATAL: *//p; s/.*HINT: *//p' second | sed 's/key [0-9]*, ID [0-9]*/key, ID/'
  kill -KILL "$backend"
  wait_until 30 gone "$backend" || fail "the backend lives"
  wait "$first" "$client"
  timeout --kill-after=10 100 "$@" $user "$bin/postgres" $options >third 2>&1 &
  local third=$!
  failure_log=third
  wait_until 60 answers || fail "no answer after all have gone"
  echo "a third server: it answers"
  kill -INT "$(head -n 1 data/postmaster.pid)"
  wait "$third"
  echo "a third server: status $?"
}

session env >native 2>native.err || fail "natively: $(cat native)"
echo 0 >/proc/sys/kernel/shmmni
session "$SHMVISOR" run --join-or-serve "$scratch/socket" -- >supervised || fail "supervised: $(cat supervised)"
diff -u native supervised || fail "they differ"
grep -q 'pre-existing shared memory block' native || fail "natively it is not kept out: $(cat native)"
[ ! -e socket ] || fail "the socket is left behind"
assert_kernel_table_empty
