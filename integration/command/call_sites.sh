#!/bin/bash
# Programs whose call sites lead into the call page see what they see natively: from the first attach
# on (--without late-call-sites), from some attach on, and where no site is changed.
. "$(dirname "$0")/../lib.sh" || exit 1
programs=$1
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd

natively() { unshare --ipc "$@"; }

# agree PROGRAM WHAT [OPTIONS]: natively and supervised, with the options too.
agree() {
  local program=$1 what=$2 options
  natively "$programs/command_$program" "$what" >"$what.native" || fail "$what natively: $(cat "$what.native")"
  for options in '--without late-call-sites' "${@:3}"; do
    # shellcheck disable=SC2086
    timeout 120 "$SHMVISOR" run $options -- "$programs/command_$program" "$what" >"$what.out" 2>err ||
      fail "$what $options: status $?, $(cat "$what.out" err)"
    diff -u "$what.native" "$what.out" || fail "$what $options"
    assert_silent err
  done
  echo "$what: as natively"
}

agree call_sites left '' '--without call-sites'
agree call_sites registers '' '--without call-sites'
agree call_sites code '' '--without call-sites'
agree call_sites keys '' '--without call-sites'
agree call_sites sites '' '--without call-sites'
agree call_sites kinds '' '--without call-sites'
agree shared_sites processes '' '--without call-sites'
agree shared_sites threads '' '--without call-sites'
# Without a site, or before it is changed, signals may end a call with EINTR: limits.md.
agree shared_sites signals ''
agree shared_sites steps ''

# What was changed: nothing, where the processor or the kernel does not allow it.
changed() { "$SHMVISOR" run "$@" -- "$programs/command_call_sites" changed; }
natively "$programs/command_call_sites" changed >native || fail "natively: $(cat native)"
grep -q '^at first: 0 0$' native || skip "this C library has no call sites that are known"
expect "without" "at first: 0 0 then: 0 0 own code: 0 " "$(changed --without call-sites | tr '\n' ' ')"
expect "after some calls" "at first: 0 0 then: 1 1 own code: 1 " "$(changed | tr '\n' ' ')"
expect "at once" "at first: 1 1 then: 1 1 own code: 1 " "$(changed --without late-call-sites | tr '\n' ' ')"
expect "without user dispatch's state" "at first: 0 0 then: 0 0 own code: 0 " \
  "$(changed --without user-dispatch-config | tr '\n' ' ')"
expect "where signals end the wait" "at first: 0 0 then: 0 0 own code: 0 " \
  "$(changed --without wait-killable-recv | tr '\n' ' ')"

# A program that unmaps what it did not map is ended by its next call.
"$SHMVISOR" run -- "$programs/command_call_sites" unmapped >out 2>err
expect "status where the page was unmapped" $((128 + 11)) $?
expect "its output" "unmapped: 1" "$(cat out)"

# Tracers: a site that leads into the page works under them.
if command -v strace >/dev/null && strace -o trace true 2>/dev/null; then
  cat >session <<END
"$programs/command_call_sites" until "$scratch/enough" >until &
program=\$!
sleep 0.5
strace -o trace -p "\$program" 2>strace.err &
tracer=\$!
sleep 1
touch "$scratch/enough"
wait "\$program"
wait "\$tracer"
END
  supervised bash session >out 2>err || fail "under strace: status $?, $(cat until out err strace.err)"
  expect "under strace" "0 failures" "$(cat until)"
  grep -q shmat trace || fail "strace saw no call: $(tail trace strace.err)"
  assert_silent err
fi
if command -v gdb >/dev/null; then
  rm -f enough
  cat >session <<END
"$programs/command_call_sites" until "$scratch/enough" >until &
program=\$!
sleep 0.5
gdb -nx -batch -p "\$program" -ex 'break shmat' -ex continue -ex continue -ex 'delete' \
  -ex "shell touch $scratch/enough" -ex continue >gdb.out 2>gdb.err </dev/null
wait "\$program"
END
  supervised bash session >out 2>err || fail "under gdb: status $?, $(cat until out err gdb.out gdb.err)"
  expect "under gdb" "0 failures" "$(cat until)"
  grep -q 'Breakpoint 1, .*shmat' gdb.out || fail "gdb saw no call: $(cat gdb.out gdb.err)"
fi
assert_kernel_table_empty
