#!/bin/bash
# PostgreSQL as a container's entrypoint, with all of its shared memory from System V: an image that
# starts as root and becomes the database's user. With and without CAP_SYS_PTRACE; with no
# capability but those that changing the user takes, not even CAP_KILL to pass SIGTERM on.
. "$(dirname "$0")/lib.sh" || exit 1
ls -d /usr/lib/postgresql/*/bin >/dev/null 2>&1 || skip "PostgreSQL is missing (Debian package postgresql)"
make_container_scratch
session=$(dirname "$0")/../programs/postgresql_session.sh

# The programs are this machine's.
root=$scratch/root
new_root "$root"
rm -r "${root:?}/bin"
mkdir -p "$root"/{usr,data}
for folder in bin lib lib64 sbin; do
  ln -s "usr/$folder" "$root/$folder"
done
echo 'root:x:0:0:root:/:/bin/sh
postgres:x:70:70:PostgreSQL:/data:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:
postgres:x:70:' >"$root/etc/group"
install -m 755 "$session" "$root/session" || fail install
cat >"$root/entrypoint" <<'END'
#!/bin/bash
# What images do: something as root, and then for good as the database's user.
set -e
[ "$(id -u)" = 0 ]
exec setpriv --reuid postgres --regid postgres --init-groups -- "$@"
END
chmod 755 "$root/entrypoint"
usr="--volume /usr:/usr:ro --env LC_ALL=C"
# shellcheck disable=SC2086
need_containers $usr "$root"
bare='--cap-drop ALL --cap-add SETUID --cap-add SETGID'

# life NAME OPTIONS COMMAND...: all that programs/postgresql.sh does, in one container.
life() {
  local name=$1 options=$2
  shift 2
  heading "$name"
  install -d -o 70 -g 70 -m 700 "$scratch/$name"
  # shellcheck disable=SC2086
  bound_seconds=180 container $usr --volume "$scratch/$name:/data" $options --rootfs "$root" "$@" \
    /entrypoint bash /session /data >"$scratch/$name.out" 2>"$scratch/log" ||
    fail "$name ended with $?: $(cat "$scratch/$name.out")"
  assert_silent "$scratch/log"
}

life native "$bare"
for options in "$bare" "$bare --read-only --security-opt no-new-privileges" "--cap-add SYS_PTRACE" ''; do
  name=supervised$(tr -dc 'A-Za-z' <<<"$options")
  life "$name" "$closed $options" /shmvisor run --
  diff -u "$scratch/native.out" "$scratch/$name.out" || fail "$name: the sessions differ"
done
grep -q 'Workers Launched: 2' "$scratch/native.out" || fail "no parallel worker: $(cat "$scratch/native.out")"

# The server itself as the command; who asks it comes in from outside; and then it is told to stop.
name=shmvisor-test-$$
inside() { podman_here exec "$@"; }
answers() { inside --user 70 "$name" psql -h /data -U tester -d postgres -AtXqc 'select 1'; }

for options in "$bare" "--cap-add SYS_PTRACE"; do
  heading "served and stopped: $options"
  folder=$scratch/server$(tr -dc 'A-Za-z' <<<"$options")
  install -d -o 70 -g 70 -m 700 "$folder"
  # shellcheck disable=SC2086
  container $usr --volume "$folder:/data" --user 70:70 --rootfs "$root" \
    bash -c '"$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)"/initdb -D /data/data -U tester -A trust --no-sync' \
    >"$scratch/log" 2>&1 || fail initdb
  # shellcheck disable=SC2086
  podman_here run --detach --name "$name" "${run_options[@]}" $closed $usr --volume "$folder:/data" $options --rootfs "$root" \
    /shmvisor run -- /entrypoint /usr/lib/postgresql/"$(ls /usr/lib/postgresql | tail -n 1)"/bin/postgres \
    -D /data/data -k /data -c listen_addresses= -c shared_memory_type=sysv \
    -c dynamic_shared_memory_type=sysv -c shared_buffers=16MB >"$scratch/log" 2>&1 || fail "podman run"
  wait_until 60 answers || fail "no answer: $(podman_here logs "$name" 2>&1)"
  expect "the type" sysv "$(inside --user 70 "$name" psql -h /data -U tester -d postgres -AtXqc 'show shared_memory_type')"
  expect "a query" 5000050000 "$(inside --user 70 "$name" psql -h /data -U tester -d postgres -AtXqc \
    'select sum(n) from generate_series(1, 100000) n')"
  expect "PID 1" shmvisor "$(inside "$name" cat /proc/1/comm)"
  # A process that came in from outside is not supervised and sees the kernel's own table.
  expect "segments in the kernel's own table" 1 "$(inside "$name" cat /proc/sysvipc/shm | wc -l)"
  podman_here stop --time 60 "$name" >"$scratch/log" 2>&1 || fail "podman stop"
  expect "exit status after SIGTERM" 0 "$(podman_here inspect --format '{{.State.ExitCode}}' "$name")"
  podman_here logs "$name" >"$scratch/server.log" 2>&1
  grep -q 'database system is shut down' "$scratch/server.log" ||
    fail "no clean stop: $(cat "$scratch/server.log")"
  ! grep shmvisor "$scratch/server.log" || fail "shmvisor complained"
  podman_here rm "$name" >"$scratch/log" 2>&1 || fail "podman rm"
done
