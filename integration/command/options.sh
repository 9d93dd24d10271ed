#!/bin/bash
# Options: ours end at the first word that is none; the command's are not eaten; help and version.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd

# prints WANTED ARG...: what the run with these arguments prints.
prints() {
  local wanted=$1
  shift
  got=$(timeout --kill-after=10 60 "$SHMVISOR" "$@" 2>err </dev/null) || fail "shmvisor $*: status $?: $(cat err)"
  expect "shmvisor $*" "$wanted" "$got"
}

prints 'a b' run echo a b
prints 'a b' run -- echo a b
prints '-v --help' run echo -v --help
prints '-v --help' run -- echo -v --help
prints '-- a' run -- echo -- a
prints '-- a' run echo -- a
prints '--shmmax 5 --no-linger' run --no-linger echo --shmmax 5 --no-linger
prints '<--version>' run --log-level off -- bash -c 'printf "<%s>" "$1"' x --version
prints '<-x><><a  b><--><-->' run -- printf '<%s>' -x '' 'a  b' -- --
prints x run --shmmax 1G --shmall=1M --shmmni 10K echo x
assert_silent err
prints x run -v -- echo x
prints 'Shared memory id: 0' run -v -v -v -- ipcmk -M 1
[ -s err ] || fail "-v -v -v logs nothing"

for arguments in --help 'run --help' --version; do
  # shellcheck disable=SC2086
  timeout 60 "$SHMVISOR" $arguments >out 2>err </dev/null || fail "$arguments: status $?"
  [ -s out ] || fail "$arguments prints nothing on standard output"
  assert_silent err
done
# What a script's variable that is not set leaves behind is not taken for an option that is not given.
for arguments in 'run --serve' 'run --join' 'oci-profile --merge'; do
  # shellcheck disable=SC2086
  timeout --kill-after=10 60 "$SHMVISOR" $arguments '' >none 2>err </dev/null
  expect "$arguments ''" 125 $?
  grep -q 'is empty' err || fail "$arguments '': $(cat err)"
  [ ! -s none ] || fail "$arguments '' prints $(cat none)"
done
for arguments in --help 'run --help' --version check oci-profile 'completion bash'; do
  # shellcheck disable=SC2086
  timeout --kill-after=10 60 "$SHMVISOR" $arguments >/dev/full 2>err </dev/null
  expect "$arguments, on a full disk" 125 $?
  grep -q 'No space left' err || fail "$arguments: no reason is given for a full disk: $(cat err)"
done
grep -Eq '[0-9]+\.[0-9]+\.[0-9]+' out || fail "no version: $(cat out)"
assert_kernel_table_empty
