#!/bin/bash
# share.sh root|user: two commands that were started separately have one registry: identifiers,
# contents, nattch across both, limits and the files in /proc; each has its own exit status.
. "$(dirname "$0")/../lib.sh" || exit 1
need python3 python3
need ipcs util-linux
peer="python3 -B $(realpath "$(dirname "$0")/peer.py")"
variant=$1
enter_namespaces "$@"
make_scratch
copy_shmvisor_to_scratch
cp "${peer##* }" "$scratch/peer.py" && peer="python3 -B $scratch/peer.py"
install -d -o 1000 -g 1000 "$scratch/work"
# Where /dev/fuse is root's alone, everybody has one in this mount namespace.
if [ -e /dev/fuse ] && ! as_user test -w /dev/fuse; then
  mknod "$scratch/fuse" c 10 229 && chmod 666 "$scratch/fuse" && mount --bind "$scratch/fuse" /dev/fuse
fi
cd "$scratch/work" || fail cd
as=
[ "$variant" = root ] || as=as_user
export SHMVISOR_LOG_LEVEL=error  # where --proc=off is said to differ
shmvisor() { $as timeout --kill-after=10 100 "$SHMVISOR" "$@"; }

# The server's command holds the segment until it is told to end.
shmvisor run --serve=socket --shmmax=1M --proc=off  -- $peer 77 make 5000 attach \
  write 'from the server' touch ready wait go read stat remove >served 2>served.err &
server=$!
wait_until 30 test -e ready || fail "the server does not start: $(cat served.err)"
expect "the socket's type" socket "$(stat -c %F socket)"

shmvisor run --join socket --proc=off  -- $peer 77 read 2>joined.err && fail "read without an attach"
shmvisor run --join=socket --proc=off  -- \
  $peer 77 make 1 attach read stat write 'from who joined' fork stat >joined 2>joined.err ||
  fail "the joined command ended with $?: $(cat joined.err)"
expect "seen by who joined" 'EEXIST|from the server|size 5000 nattch 2|size 5000 nattch 3|size 5000 nattch 2|' \
  "$(tr '\n' '|' <joined)"
assert_silent joined.err

# The server's limits are everybody's, and so is its table; the status is the command's own.
shmvisor run --join socket --proc=off  -- $peer 78 make 2000000 >joined 2>joined.err ||
  fail "joined: $?: $(cat joined.err served.err served)"
expect "a segment beyond the server's limit" EINVAL "$(cat joined)"
for limit in --shmmax=1K --shmall=5 --shmmni=7; do
  shmvisor run --join socket $limit -- true 2>joined.err
  expect "$limit for who joins" 125 $?
done
SHMVISOR_JOIN=socket shmvisor run -- $peer 77 stat >joined 2>joined.err || fail "joined: $(cat joined.err)"
expect "joined by the environment" 'size 5000 nattch 1' "$(cat joined)"
shmvisor run --join socket -- bash -c 'exit 9' 2>/dev/null
expect "status of who joined" 9 $?
shmvisor run --join socket -- bash -c 'kill -TERM $$' 2>/dev/null
expect "status of who was killed" 143 $?
shmvisor run --join socket -- ./nothing 2>joined.err
expect "status of what cannot be found" 127 $?
grep -q "cannot run './nothing'" joined.err || fail "no reason: $(cat joined.err)"

# The files in /proc, for root, and in a user namespace for a user.
files() {
  shmvisor run --join socket --proc=fuse "$@" -- bash -c \
    'ipcs -m; cat /proc/sys/kernel/shmmax; wc -l </proc/sysvipc/shm; unshare --user --ipc wc -l </proc/sysvipc/shm' \
    >joined 2>joined.err || fail "files in /proc: $?: $(cat joined.err)"
  expect "ipcs of who joined" "5000 1" "$(awk '$5 == 5000 { print $5, $6 }' joined)"
  expect "the files of who joined" '1048576 2 2' "$(tail -n 3 joined | tr '\n' ' ' | sed 's/ $//')"
  assert_silent joined.err
}
# ThreadSanitizer keeps a thread of its own, beside which no user namespace can be made.
user_namespaces() { [[ ${SHMVISOR_SANITIZED:-} != *thread* ]] && "$@" unshare --user true; }
if [ "$variant" = root ]; then
  files
  if user_namespaces; then files --userns; else echo 'not compared: --userns'; fi
else
  shmvisor run --join socket --proc=fuse -- true 2>joined.err
  expect "status without files in /proc" 125 $?
  grep -q -- '--proc=off' joined.err || fail "no advice: $(cat joined.err)"
  # shellcheck disable=SC2086
  if user_namespaces $as && $as test -w /dev/fuse; then files --userns; else echo 'not compared: --userns'; fi
fi

touch go
wait "$server"
expect "the server's status" 0 $?
expect "seen by the server" 'from who joined|size 5000 nattch 1|' "$(tr '\n' '|' <served)"
assert_silent served.err
[ ! -e socket ] || fail "the socket is left behind"
shmvisor run --join socket -- touch started 2>joined.err
expect "without a server" 125 $?
grep -q "no shmvisor serves at 'socket': .* 'shmvisor run --serve socket' first" joined.err ||
  fail "no reason: $(cat joined.err)"
[ ! -e started ] || fail "the command ran without a server"
assert_kernel_table_empty
