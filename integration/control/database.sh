#!/bin/bash
# database.sh FOLDER: a PostgreSQL with all of its shared memory from System V, as the (unprivileged) user
# that runs this, until it is ended. Writes FOLDER/ready when it answers.
set -u
folder=$1
export LC_ALL=C PGHOST=$folder PGPORT=5432 PGDATABASE=postgres PGUSER=tester
PATH=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1):$PATH
initdb -D "$folder/data" -U "$PGUSER" -A trust --no-sync --no-instructions >"$folder/initdb.log" 2>&1 || exit 1
cat >>"$folder/data/postgresql.conf" <<END
shared_memory_type = sysv
dynamic_shared_memory_type = sysv
unix_socket_directories = '$folder'
listen_addresses = ''
shared_buffers = 32MB
fsync = off
parallel_setup_cost = 0
parallel_tuple_cost = 0
min_parallel_table_scan_size = 0
END
(
  for _ in $(seq 600); do
    psql -AtXqc 'create table numbers as select g as n from generate_series(1, 50000) g' && break
    sleep 0.1
  done >/dev/null 2>&1
  touch "$folder/ready"
  # Parallel queries: each makes and removes segments.
  while [ -e "$folder/ready" ]; do
    psql -AtXqc 'select count(*), sum(n) from numbers' || break
    sleep 0.1
  done >/dev/null 2>&1
) &
exec postgres -D "$folder/data" >"$folder/server.log" 2>&1
