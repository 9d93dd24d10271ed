#!/bin/bash
# postgresql_session.sh FOLDER: one life of a PostgreSQL cluster, as the (unprivileged) user that
# runs this; prints what must be the same natively and supervised. Started by postgresql.sh.
set -u
folder=$1
data=$folder/data
export LC_ALL=C PGHOST=$folder PGPORT=5432 PGDATABASE=postgres PGUSER=tester PGCONNECT_TIMEOUT=60
PATH=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1):$PATH

quit() {
  echo "session stopped: $*"
  cat "$folder"/*.log
  exit 1
}

start() { pg_ctl -D "$data" -l "$folder/server.log" -w -t 120 start >"$folder/pg_ctl.log" 2>&1; }

wait_gone() {
  for _ in $(seq 600); do
    kill -0 "$1" 2>/dev/null || return 0
    sleep 0.1
  done
  return 1
}

initdb -D "$data" -U "$PGUSER" -A trust --no-sync --no-instructions >"$folder/initdb.log" 2>&1 ||
  quit initdb
cat >>"$data/postgresql.conf" <<END
shared_memory_type = sysv
dynamic_shared_memory_type = sysv
unix_socket_directories = '$folder'
listen_addresses = ''
shared_buffers = 32MB
fsync = off
max_worker_processes = 8
max_parallel_workers_per_gather = 2
parallel_setup_cost = 0
parallel_tuple_cost = 0
min_parallel_table_scan_size = 0
END

start || quit "first start"
psql -AtXq <<'END' || quit "queries"
show shared_memory_type;
show dynamic_shared_memory_type;
create table numbers as select g as n, g % 97 as m from generate_series(1, 200000) g;
analyze numbers;
select count(*), sum(n), max(m) from numbers;
select count(*) from numbers a join numbers b using (n) where a.m = 5;
END
psql -AtXq -c 'explain (analyze, costs off, timing off) select count(*), sum(n) from numbers' |
  grep -Eo 'Workers (Planned|Launched): [0-9]+' || quit "no parallel workers"
pg_ctl -D "$data" -w -t 120 -m fast stop >"$folder/pg_ctl.log" 2>&1 || quit "clean stop"
echo "stopped cleanly: $(grep -c 'database system is shut down' "$folder/server.log")"

# The postmaster is killed while a backend lives: stopped, so that it cannot notice.
start || quit "second start"
postmaster=$(head -n 1 "$data/postmaster.pid")
psql -AtXq -c 'select pg_sleep(600)' >"$folder/sleeper.log" 2>&1 &
client=$!
backend=
for _ in $(seq 600); do
  backend=$(psql -AtXq -c "select pid from pg_stat_activity where query like 'select pg_sleep%'")
  [ -n "$backend" ] && break
  sleep 0.1
done
[ -n "$backend" ] || quit "no backend"
kill -STOP "$backend"
kill -KILL "$postmaster"
wait_gone "$postmaster" || quit "the postmaster is there still"
cp "$folder/server.log" "$folder/before.log"
if start; then
  echo "restarted beside a living backend"
else
  echo "restart refused:"
  tail -n +$(($(wc -l <"$folder/before.log") + 1)) "$folder/server.log" |
    grep -E 'FATAL|HINT' | sed -E "s/^.*(FATAL|HINT): */\1: /; s#$folder#FOLDER#g; s/[0-9]+/N/g"
fi

# Once the backend has gone the restart works, and the data are there.
kill -KILL "$backend"
wait_gone "$backend" || quit "the backend is there still"
wait "$client"
start || quit "third start"
psql -AtXq -c 'select count(*), sum(n) from numbers' || quit "query after recovery"
pg_ctl -D "$data" -w -t 120 -m fast stop >"$folder/pg_ctl.log" 2>&1 || quit "second clean stop"
echo done
