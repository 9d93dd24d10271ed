#!/bin/bash
# A database's server, and the administrator's ipcs beside it, which sees the database's segment and
# how many processes have it, and marks it for removal.
. "$(dirname "$0")/../lib.sh" || exit 1
ls -d /usr/lib/postgresql/*/bin >/dev/null 2>&1 || skip "PostgreSQL is missing (Debian package postgresql)"
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd
user='setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --'
install -d -o 65534 -g 65534 -m 700 data
bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
export LC_ALL=C PGHOST=$scratch PGDATABASE=postgres PGUSER=tester PGCONNECT_TIMEOUT=60 HOME=$scratch
chmod 777 "$scratch"  # for the socket of the database
"$SHMVISOR" run -- $user "$bin/initdb" -D data -U tester -A trust --no-sync >log 2>&1 || fail initdb

"$SHMVISOR" run --serve socket -- $user "$bin/postgres" -D data -k "$scratch" -c listen_addresses= \
  -c shared_memory_type=sysv -c dynamic_shared_memory_type=sysv -c shared_buffers=16MB -c fsync=off \
  >log 2>&1 &
server=$!
answers() { "$bin/psql" -AtXqc 'select 1'; }
wait_until 60 answers || fail "no answer"
joined() { timeout --kill-after=10 60 "$SHMVISOR" run --join socket -- "$@"; }

# Counted first: a backend that served a client just now may end meanwhile.
processes=$(pgrep -cf '^(postgres:|[^ ]*/postgres )')
joined ipcs -m >ipcs 2>err || fail "ipcs: $(cat err)"
large='$5 + 0 >= 16777216'
expect "large segments, and whose" nobody "$(awk "$large"' { print $3 }' ipcs)"
attached=$(awk "$large"' { print $6 }' ipcs)
[ "$attached" -ge 2 ] && [ "$attached" -le "$processes" ] ||
  fail "$attached attaches for $processes processes: $(cat ipcs)"

# Marked for removal from outside, the segment serves on until the server ends.
joined ipcrm -m "$(awk "$large"' { print $2 }' ipcs)" 2>err || fail "ipcrm: $(cat err)"
joined ipcs -m >ipcs 2>err || fail "ipcs: $(cat err)"
expect "marked for removal" dest "$(awk "$large"' { print $7 }' ipcs)"
expect "a query afterwards" 5000050000 \
  "$("$bin/psql" -AtXqc 'select sum(n) from generate_series(1, 100000) n')"
kill -INT "$server"
wait "$server"
expect "PostgreSQL's status" 0 $?
grep -q 'database system is shut down' log || fail "no clean stop"
! grep shmvisor log || fail "shmvisor complained"
assert_kernel_table_empty
