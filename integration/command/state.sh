#!/bin/bash
# What the command inherits is what it would have inherited without shmvisor.
. "$(dirname "$0")/../lib.sh" || exit 1
programs=$1
enter_namespaces "$@"
make_scratch
copy_shmvisor_to_scratch
install -m 755 "$programs/command_dump_state" "$scratch/dump" || fail install
install -m 755 "$programs/command_with_state" "$scratch/with" || fail install
mkdir -m 777 "$scratch/a folder"
cd "$scratch/a folder" || fail cd
export SHMVISOR_TEST_VARIABLE=$'two\nlines' EMPTY=

# with MODE FILE COMMAND-PREFIX...: the dump, made under the prefix.
dump() {
  local mode=$1 file=$2
  shift 2
  timeout --kill-after=10 60 "$scratch/with" "$mode" "$@" "$scratch/dump" "$file" 'an argument' '' -v \
    --help -- '$HOME' 7</dev/null 9>>extra 3<&-
}

for mode in plain state closed input_closed; do
  dump "$mode" direct >direct.out 2>direct.err || fail "$mode: the direct start ended with $?"
  [ -s direct ] || fail "$mode: nothing was written"
  dump "$mode" supervised "$SHMVISOR" run -- >direct.out 2>direct.err ||
    fail "$mode: the supervised start ended with $?: $(cat direct.err)"
  assert_silent direct.err
  assert_silent direct.out
  diff -u direct supervised || fail "$mode: the command does not inherit the same"
  rm direct supervised
done

# Where a stream is closed nothing that matters may lie at its number: a log would be written there.
# shellcheck disable=SC2016
for run in 'run' 'run --serve socket'; do
  # shellcheck disable=SC2086
  timeout --kill-after=10 60 "$SHMVISOR" $run -- sh -c 'readlink /proc/$PPID/fd/0 /proc/$PPID/fd/2 >>seen' <&- 2>&- ||
    fail "$run, with closed streams: $?"
done
expect "shmvisor's own closed streams" $'/\n/\n/\n/' "$(cat seen)"
timeout --kill-after=10 60 "$SHMVISOR" --version >&- 2>version.err
expect "--version on a closed stream" 125 $?

# As an ordinary user; the one difference is that no_new_privs has to be set.
as_user "$scratch/with" plain "$scratch/dump" direct
as_user "$scratch/with" plain "$SHMVISOR" run -- "$scratch/dump" supervised || fail "as a user: $?"
diff -u direct supervised || fail "as a user: the command does not inherit the same"

# Standard input is the command's own, byte for byte, and its end is seen.
head -c 300000 /dev/urandom >bytes
"$SHMVISOR" run -- cat <bytes | cmp - bytes || fail "standard input differs"
{ "$SHMVISOR" run -- head -c 1 && cat; } <bytes | cmp -n 1 - bytes || fail "first byte differs"
assert_kernel_table_empty
