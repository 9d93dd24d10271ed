#!/bin/bash
# entrypoint.sh UID:GID PROGRAM: the static binary as a container's entrypoint, under
# the ways that containers are run: programs of glibc, musl and none, in a root that has nothing else.
. "$(dirname "$0")/lib.sh" || exit 1
portable=$(dirname "$0")/portable.c
user=$1
program=$2
[ -r /usr/share/containers/seccomp.json ] ||
  skip "podman's seccomp profile is missing (Debian package golang-github-containers-common)"
make_container_scratch
root=$scratch/root
new_root "$root"
install -m 755 "$program" "$root/bin/program"
need musl-gcc musl-tools
musl-gcc -D_GNU_SOURCE -O1 -static -o "$root/bin/musl" "$portable" || fail "musl-gcc -static"
mkdir "$root/lib"
musl-gcc -D_GNU_SOURCE -O1 -o "$root/bin/musl_dynamic" "$portable" || fail musl-gcc
loader=$(readelf -l "$root/bin/musl_dynamic" | sed -n 's/.*interpreter: \(.*\)\]/\1/p')
cp -L "$loader" "$root$loader" || fail "no loader $loader"
need_containers "$root"

/usr/bin/python3 "$(dirname "$0")/docker_profile.py" /usr/share/containers/seccomp.json \
  >"$scratch/docker.json" || fail "docker_profile.py"
# Docker's is the stricter: what podman's lets through, it refuses.
for profile in '' "--security-opt seccomp=$scratch/docker.json"; do
  # shellcheck disable=SC2086
  container $profile --user 1000:1000 --rootfs "$root" /bin/busybox unshare -U /bin/busybox echo free 2>&1
done >"$scratch/unshare"
expect "unshare under the two profiles" "free
unshare: unshare(0x10000000): Operation not permitted" "$(cat "$scratch/unshare")"

container --user "$user" --rootfs "$root" /bin/program >"$scratch/native" 2>"$scratch/log" ||
  fail "the native run in the container ended with $?"
printf '%s\n' 'shmget = ok' 'shmat = ok' 'read from the child' 'IPC_STAT = ok' 'nattch 2' 'shmdt = ok' \
  'IPC_RMID = ok' >"$scratch/attached"

# Orphans for PID 1 to reap; then the programs; then the kernel's table.
cat >"$root/bin/session" <<END
set -e
for i in 1 2 3 4 5 6 7 8; do ( ( exit 3 ) & ); done
/bin/musl
/bin/musl_dynamic
zombies() {
  for status in /proc/[0-9]*/status; do
    while read -r name value rest; do
      [ "\$name \$value" != 'State: Z' ] || echo "zombie: \$status"
    done <"\$status"
  done 2>/dev/null
}
for try in 1 2 3 4 5 6 7 8 9; do
  [ -z "\$(zombies)" ] || /bin/busybox sleep 1
done
zombies
$count_kernel_segments
exit 42
END
{ cat "$scratch/attached" "$scratch/attached" && echo 'kernel segments: 0'; } >"$scratch/session"

# under OPTION...: runs everything in containers that are started so.
under() {
  heading "--user $user $*"
  # shellcheck disable=SC2086
  container $closed --user "$user" "$@" --rootfs "$root" /shmvisor run -- /bin/program \
    >"$scratch/out" 2>"$scratch/log" || fail "$*: the program ended with $?"
  diff -u "$scratch/native" "$scratch/out" || fail "$*: the transcripts differ"
  assert_silent "$scratch/log"
  # shellcheck disable=SC2086
  container $closed --user "$user" "$@" --rootfs "$root" /shmvisor run -- /bin/sh /bin/session \
    >"$scratch/out" 2>"$scratch/log"
  expect "$*: exit status of the session" 42 $?
  diff -u "$scratch/session" "$scratch/out" || fail "$*: the session"
  assert_silent "$scratch/log"
}

under
under --cap-drop ALL
under --read-only
under --security-opt no-new-privileges
under --cap-drop ALL --read-only --security-opt no-new-privileges
docker="--security-opt seccomp=$scratch/docker.json"
# shellcheck disable=SC2086
{
  under $docker
  under $docker --cap-drop ALL
  under $docker --cap-drop ALL --read-only --security-opt no-new-privileges
}
under --cap-add SYS_PTRACE
# In a user namespace, as those of a rootless podman.
chmod 711 "$scratch"
under --uidmap 0:100000:65536 --gidmap 0:100000:65536 --cap-drop ALL

# Not as PID 1.
# shellcheck disable=SC2086
container $closed --user "$user" --rootfs "$root" /bin/sh -c \
  '/shmvisor run -- /bin/sh /bin/session; status=$?; [ $$ = 1 ] && exit $status' \
  >"$scratch/out" 2>"$scratch/log"
expect "exit status of the session below PID 1" 42 $?
diff -u "$scratch/session" "$scratch/out" || fail "the session below PID 1"
assert_silent "$scratch/log"

# Settings by the environment, as an image has them; and a refusal of ours is a refusal.
# shellcheck disable=SC2086
container $closed --user "$user" --env SHMVISOR_SHMMAX=1K --rootfs "$root" /shmvisor run -- /bin/musl \
  >"$scratch/out" 2>"$scratch/log"
expect "SHMVISOR_SHMMAX in the container" 'shmget = errno 22' "$(head -n 1 "$scratch/out")"
# shellcheck disable=SC2086
container $closed --user "$user" --rootfs "$root" /shmvisor run -- /bin/none 2>/dev/null
expect "a command that is not there" 127 $?
