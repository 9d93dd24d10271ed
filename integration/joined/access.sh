#!/bin/bash
# Who may join: the socket's permissions, the kernel's rules of ptrace, and whose server it is; and
# that nothing a visitor sends harms anybody.
. "$(dirname "$0")/../lib.sh" || exit 1
need python3 python3
visitor=$(realpath "$(dirname "$0")/visitor.py")
peer=$(realpath "$(dirname "$0")/peer.py")
enter_namespaces "$@"
make_scratch
copy_shmvisor_to_scratch
chmod 777 "$scratch"
cd "$scratch" || fail cd
cp "$visitor" "$peer" . || fail cp
peer='python3 -B peer.py'
run="timeout --kill-after=10 100 $SHMVISOR run"
another_user() { setpriv --reuid 1001 --regid 1001 --clear-groups --inh-caps=-all --bounding-set=-all -- "$@"; }
ready() { wait_until 60 test -e "$1" || fail "no $1: $(cat ./*.err)"; }

# refused WORDS COMMAND...: 125, for a reason that has these words, and the command does not run.
refused() {
  local words=$1
  shift
  "$@" touch ran 2>err
  expect "$*: status" 125 $?
  grep -q "$words" err || fail "$*: $(cat err)"
  [ ! -e ran ] || fail "$*: the command ran"
}

heading "visitors that are no shmvisor"
$run --serve socket --log-level=off -- $peer 5 make 4096 touch serving wait over stat >served 2>served.err &
server=$!
ready serving
timeout 60 python3 -B visitor.py socket >visits 2>err || fail "visitor.py: $(cat err)"
diff -u - visits <<'END' || fail "the outcomes differ"
garbage: it is another version of shmvisor
half a message: it sent no request
a long message: it sent no request
an empty message: closed
no descriptor: it handed over something else than a seccomp listener
another file: it handed over something else than a seccomp listener
no user namespace: it handed over something else than a seccomp listener
another file as a user namespace: it handed over something else than a seccomp listener
another namespace: it handed over something else than a seccomp listener
a FUSE connection of its own: it handed over something else than a seccomp listener
too many descriptors: it sent no request
another version: it is another version of shmvisor
silent visitors: greeted
END
$run --join socket -- $peer 5 attach stat >joined 2>err || fail "afterwards: $(cat err)"
expect "afterwards" 'size 4096 nattch 1' "$(cat joined)"

heading "root's server"
refused 'permissions of the socket' as_user $run --join socket --
chmod 666 socket
as_user $run --join socket -- $peer 5 attach write theirs stat >joined 2>err ||
  fail "a user at root's server: $(cat err)"
expect "a user at root's server" 'size 4096 nattch 1' "$(cat joined)"
touch over
wait "$server"
expect "the server's status" 0 $?
expect "seen by the server" 'size 4096 nattch 0' "$(cat served)"
rm -f serving over

heading "a user's server"
as_user $run --serve socket --log-level=off -- bash -c 'chmod 666 socket; touch serving; while [ ! -e over ]; do sleep 0.05; done' 2>served.err &
server=$!
ready serving
refused 'belongs to user 1000' $run --join socket --
refused 'belongs to user 1000' another_user $run --join socket --
as_user $run --join socket -- true 2>err || fail "the same user: $(cat err)"
touch over
wait "$server"
rm -f serving over

heading "the lock of another user's runs"
mkdir -m 777 shared
(umask 0 && exec $run --join-or-serve shared/socket --log-level=off -- bash -c 'touch serving; while [ ! -e over ]; do sleep 0.05; done') 2>served.err &
server=$!
ready serving
as_user $run --join-or-serve shared/socket -- true 2>err || fail "who may not open the lock joins: $(cat err)"
touch over
wait "$server"
rm -f serving over
refused 'let its owner serve' as_user $run --join-or-serve shared/socket --
$run --join-or-serve shared/socket -- true 2>err || fail "its owner: $(cat err)"

heading "paths"
echo precious >file
refused "no socket that a server left behind" $run --serve file --
expect "what was there" precious "$(cat file)"
refused "cannot listen at" $run --serve ./no/folder --
refused "cannot listen at" $run --serve "$(printf 'x%.0s' $(seq 108))" --
refused "'file' is there, and is no socket" $run --join file --
refused "'[.]' is there, and is no socket" $run --join-or-serve . --
refused "already supervised" "$SHMVISOR" run --log-level=off -- $run --serve socket --
[ ! -e socket ] || fail "a socket is left behind"
$run --serve socket -- bash -c 'touch serving; while [ ! -e over ]; do sleep 0.05; done' 2>served.err &
server=$!
ready serving
refused "join it if" $run --serve socket --
refused "already supervised" "$SHMVISOR" run --log-level=off -- $run --join socket --
touch over
wait "$server"
expect "the server's status" 0 $?
assert_silent served.err
assert_kernel_table_empty
