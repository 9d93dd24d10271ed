#!/bin/bash
# tests.sh [NAME...]: runs the tests named, or all but those that take minutes, and prints a line for each, with
# its output where it did not pass.

# A line for each: NAME COMMAND...
list() {
  local program narrow=
  cat <<'END'
check bash /integration/machines/guest/check.sh
ends_on_time bash /integration/machines/guest/ends_on_time.sh
page_size bash /integration/machines/guest/page_size.sh
procfiles.modes bash /integration/procfiles/modes.sh
END
  case $(uname -m) in
    x86_64)
      # Unit tests are built for this machine alone.
      echo 'CallerStackTest /programs/caller_stack_test'
      # The emulated processor has protection keys.
      echo 'call_sites.keys bash /integration/oracle/compare.sh /programs/command_call_sites keys'
      # Where gcc could build them.
      [ ! -e /programs/oracle_shmat_i386 ] || narrow='shmat_i386 shmctl_i386'
      ;;
    *)
      narrow='shmat_arm shmat_limits_arm shmat_protections_arm shmdt_arm shmctl_arm memory_arm identifiers_arm
        removal_arm'
      ;;
  esac
  for program in shmget shmat shmdt shmctl memory memory_static permissions identifiers removal \
    registers process_state concurrency $narrow; do
    echo "oracle.$program bash /integration/oracle/compare.sh /programs/oracle_$program"
  done
  for program in memory removal; do
    echo "oracle.${program}_as_user bash /integration/oracle/compare.sh --as-user /programs/oracle_$program"
  done
  # Before Linux 5.19 a signal ends the wait for an answer. An emulated machine gets none ready within the half
  # millisecond that the program leaves elsewhere.
  if "$SHMVISOR" check | grep -q '^wait-killable-recv *yes'; then
    echo 'oracle.signals bash /integration/oracle/compare.sh /programs/oracle_signals'
  else
    echo 'oracle.signals_each_20_ms bash /integration/oracle/compare.sh /programs/oracle_signals 20000'
  fi
  # The last, since nobody can lower Yama's strictest value again.
  echo 'yama bash /integration/machines/guest/yama.sh'
}

# run_test NAME COMMAND...
run_test() {
  local name=$1 status
  shift
  timeout --kill-after=10 300 "$@" >/tmp/output 2>&1 </dev/null
  status=$?
  case $status in
    0) echo "PASSED $name" ;;
    77) echo "SKIPPED $name: $(grep -a '^SKIPPED' /tmp/output | head -n 1 | cut -c 10-)" ;;
    *)
      echo "FAILED $name: status $status"
      { head -c 6000 /tmp/output && echo; } | sed 's/^/    /'
      ;;
  esac
}

list | while read -r name command; do
  if [[ " $* " == *" $name "* ]] || { [ $# = 0 ] && [[ $name != *each_20_ms ]]; }; then
    # shellcheck disable=SC2086
    run_test "$name" $command
  fi
done
