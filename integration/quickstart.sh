#!/bin/bash
# From a bare Debian 12 machine to programs that share memory without the kernel's System V shm:
# installs what is needed, builds, and shows it. As root: bash integration/quickstart.sh
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$here")

# The second part runs in an IPC namespace of its own, where the kernel can make no segment.
if [ "${1:-}" != --demonstrate ]; then
  # shellcheck source=packages.sh
  . "$here/packages.sh"
  echo '== Packages'
  install_packages build demonstration
  echo '== Build'
  cd "$root"
  cmake --preset release >/dev/null
  cmake --build --preset release --target shmvisor >"$root/build/quickstart.log" || { tail -n 40 "$root/build/quickstart.log"; exit 1; }
  ls -l build/release/shmvisor
  exec unshare --ipc bash "$0" --demonstrate
fi

shmvisor=$root/build/release/shmvisor
scratch=$(mktemp -d)
trap 'rm -rf --one-file-system "$scratch"' EXIT
chmod 755 "$scratch"

echo '== An IPC namespace in which the kernel refuses every segment (kernel.shmmni=0)'
echo 0 >/proc/sys/kernel/shmmni
echo '$ ipcmk -M 65536'
if ipcmk -M 65536; then
  echo 'the kernel made a segment all the same' >&2
  exit 1
fi

echo
echo '== Under shmvisor: ipcmk makes a segment, Perl and Python use it, ipcrm removes it'
cat >"$scratch/session" <<'END'
set -euo pipefail
echo '$ ipcmk -M 65536'
made=$(ipcmk -M 65536)
echo "$made"
id=${made##* }
echo "\$ perl: shmwrite($id, ...)"
perl -e 'shmwrite($ARGV[0], "hello from Perl", 0, 16) or die "shmwrite: $!"' "$id"
echo "\$ python3: attach($id).read()"
/usr/bin/python3 -c '
import sys, sysv_ipc
memory = sysv_ipc.attach(int(sys.argv[1]))
print("Python reads:", memory.read(15).decode(), "- size", memory.size, "attached", memory.number_attached)' "$id"
echo "\$ ipcrm -m $id"
ipcrm -m "$id"
echo "\$ ipcrm -m $id"
if ipcrm -m "$id"; then exit 1; fi
END
"$shmvisor" run -- bash "$scratch/session"

echo
echo '== Under shmvisor: PostgreSQL with shared_memory_type=sysv'
install -d -o nobody -m 700 "$scratch/postgresql"
cat >"$scratch/database" <<'END'
set -euo pipefail
cd "$1"
export LC_ALL=C HOME=$1
PATH=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1):$PATH
echo '$ initdb'
initdb -D data -U demo -A trust --no-sync --no-instructions >log 2>&1 || { cat log; exit 1; }
cat >>data/postgresql.conf <<CONF
shared_memory_type = sysv
dynamic_shared_memory_type = sysv
unix_socket_directories = '$1'
listen_addresses = ''
max_parallel_workers_per_gather = 2
parallel_setup_cost = 0
parallel_tuple_cost = 0
min_parallel_table_scan_size = 0
CONF
echo '$ pg_ctl start'
pg_ctl -D data -l server.log -w start >log 2>&1 || { cat log server.log; exit 1; }
query() {
  echo "\$ psql: $1"
  psql -h "$PWD" -U demo -d postgres -AtXq -c "$1"
}
query 'show shared_memory_type'
query 'create table numbers as select generate_series(1, 100000) as n'
query 'analyze numbers'
query 'select count(*), sum(n) from numbers'
query 'explain (analyze, costs off, timing off, summary off) select sum(n) from numbers'
echo '$ pg_ctl stop'
pg_ctl -D data -m fast -w stop >log 2>&1 || { cat log server.log; exit 1; }
END
"$shmvisor" run -- setpriv --reuid nobody --regid nogroup --clear-groups \
  bash "$scratch/database" "$scratch/postgresql"

echo
echo "== The kernel's own table (cat /proc/sysvipc/shm): no segment in it"
cat /proc/sysvipc/shm
[ "$(wc -l </proc/sysvipc/shm)" = 1 ]
