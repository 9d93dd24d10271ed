#!/bin/bash
# The Dockerfile of the README, in front of an entrypoint that becomes the database's user, as that
# of the image of PostgreSQL does; and the commands that go with it.
. "$(dirname "$0")/lib.sh" || exit 1
version=$(ls /usr/lib/postgresql 2>/dev/null | tail -n 1)
[ -n "$version" ] || skip "PostgreSQL is missing (Debian package postgresql)"
make_container_scratch
make_workplace

# In place of postgres:15, with this machine's programs.
root=$scratch/root
mkdir -p "$root"/{proc,sys,dev,tmp,etc,run,var/lib/postgresql,usr/{local/bin,bin,lib,lib64,share}} || fail mkdir
for folder in bin lib lib64; do ln -s "usr/$folder" "$root/$folder"; done
ln -s /run "$root/var/run"
chmod 1777 "$root/tmp"
echo 'root:x:0:0:root:/:/bin/sh
postgres:x:999:999:PostgreSQL:/var/lib/postgresql:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:
postgres:x:999:' >"$root/etc/group"
cat >"$root/usr/local/bin/docker-entrypoint.sh" <<'END'
#!/bin/bash
set -e
if [ "$(id -u)" = 0 ]; then
  install -d -o postgres -g postgres -m 700 "$PGDATA" /run/postgresql
  exec setpriv --reuid postgres --regid postgres --init-groups -- "$0" "$@"
fi
[ -s "$PGDATA/PG_VERSION" ] || initdb -A trust --no-sync >/dev/null
exec "$@"
END
chmod 755 "$root/usr/local/bin/docker-entrypoint.sh"
import_image "$root" postgres:15 \
  "ENV PATH=/usr/local/bin:/usr/bin:/usr/lib/postgresql/$version/bin" 'ENV LC_ALL=C' 'ENV PGDATA=/var/lib/postgresql/data' \
  'ENTRYPOINT ["docker-entrypoint.sh"]' 'CMD ["postgres"]'
for folder in bin lib lib64 share; do run_options+=(--volume "/usr/$folder:/usr/$folder:ro"); done

recipe dockerfile 'FROM postgres' >Dockerfile
recipe sh 'podman build --file Dockerfile' >commands
mapfile -t commands <commands
expect "the number of commands" 3 "${#commands[@]}"
# run_command NUMBER WORDS: as it is typed, but for the name of the container.
name=shmvisor-recipe-$$
run_command() {
  local typed=${commands[$1]//--name database/--name $name}
  typed=${typed//exec database/exec $name}
  [[ $typed == "$2"* ]] || fail "command $1 is '$typed'"
  heading "$typed"
  eval "$typed" >"$scratch/out" 2>"$scratch/log" || fail "status $?: $(cat "$scratch/out")"
}
run_command 0 'podman build'
run_command 1 'podman run'
answers() { podman_here exec --user postgres "$name" psql -h /run/postgresql -d postgres -AtXqc "$1"; }
wait_until 60 answers 'select 1' || fail "no answer: $(podman_here logs "$name" 2>&1 | tail -n 20)"
expect "the types" 'sysv sysv' "$(answers 'show shared_memory_type') $(answers 'show dynamic_shared_memory_type')"
expect "a query" 5000050000 "$(answers 'select sum(n) from generate_series(1, 100000) n')"
run_command 2 'podman exec'
allocated=$(sed -n 's/^segments allocated //p' "$scratch/out")
[ "${allocated:-0}" -ge 2 ] || fail "ipcs beside the database sees: $(cat "$scratch/out")"
expect "PID 1" shmvisor "$(podman_here exec "$name" cat /proc/1/comm)"
expect "the kernel's own table" 1 "$(podman_here exec "$name" cat /proc/sysvipc/shm | wc -l)"
# And whoever does not join, has it alone.
expect "without --join" 'segments allocated 0' "$(podman_here exec "$name" ipcs -m -u | grep '^segments')"
podman_here stop --time 60 "$name" >"$scratch/log" 2>&1 || fail "podman stop"
expect "exit status after SIGTERM" 0 "$(podman_here inspect --format '{{.State.ExitCode}}' "$name")"
podman_here logs "$name" >"$scratch/server.log" 2>&1
grep -q 'database system is shut down' "$scratch/server.log" || fail "no clean stop: $(cat "$scratch/server.log")"
! grep shmvisor "$scratch/server.log" || fail "shmvisor complained"
