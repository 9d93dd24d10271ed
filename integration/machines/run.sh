#!/bin/bash
# run.sh [--tests NAME,...] [MACHINE...]: boots Debian's kernels in qemu and runs tests of shmvisor inside: see
# README.md. Without names, all machines, one after the other. Ends with 77 where there was none to boot.
set -u
here=$(cd "$(dirname "$0")" && pwd)
integration=$(dirname "$here")
. "$integration/lib.sh" || exit 1
. "$here/kernels.sh" || exit 1
. "$here/initramfs.sh" || exit 1
: "${SHMVISOR:=$(dirname "$integration")/build/release/shmvisor}"
build=$(dirname "$SHMVISOR")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/shmvisor-machines
tests=
[ "${1:-}" != --tests ] || { tests=$2 && shift 2; }
[ $# != 0 ] || set -- 5.10 6.1 6.12 newest
boot_bound_seconds=${SHMVISOR_MACHINE_SECONDS:-1500}

[ "$(uname -m)" = x86_64 ] || skip "machines of other architectures than x86-64 are not there yet"
need qemu-system-x86_64 qemu-system-x86
need busybox busybox-static
[ -x "$SHMVISOR" ] || fail "no program at SHMVISOR=$SHMVISOR"
[ -x "$build/integration/oracle/oracle_shmat" ] || fail "no test programs below $build: build the preset release"
mkdir -p "$cache" || fail "mkdir $cache"
make_scratch
make_root "$scratch/root" || fail "the machines' root folder could not be made"

# Settings that let a guest's clock run by its instructions, not by the host's clock: with those of a loaded host
# guests panic.
boot() {
  timeout --kill-after=10 "$boot_bound_seconds" qemu-system-x86_64 -accel tcg,thread=single \
    -icount shift=1,sleep=off -smp 1 -cpu max -m 1024 -nodefaults -no-reboot -display none \
    -serial "file:$scratch/console" -serial "file:$scratch/results" -kernel "$kernel/vmlinuz" \
    -initrd "$scratch/initramfs" \
    -append "console=ttyS0 panic=-1 quiet mitigations=off no_timer_check shmvisor_tests=$tests" </dev/null
}

count() { grep -ac "^$1 " "$scratch/results"; }

# run_machine NAME: adds its row to $scratch/table; status 77 where its kernel is not to be had.
run_machine() {
  local name=$1 begin=$SECONDS release
  if ! fetch_kernel "$name"; then
    echo "SKIPPED: machine $name: $no_kernel"
    printf '%s|-|-|-|-|%s\n' "$name" "$no_kernel" >>"$scratch/table"
    return 77
  fi
  make_initramfs "$scratch/root" "$kernel" "$scratch/initramfs" || fail "no initramfs"
  heading "machine $name"
  : >"$scratch/results"
  boot
  cat "$scratch/results"
  release=$(sed -n 's/^KERNEL //p' "$scratch/results")
  printf '%s|%s|%s|%s|%s|%s s\n' "$name" "${release:--}" "$(count PASSED)" "$(count FAILED)" "$(count SKIPPED)" \
    "$((SECONDS - begin))" >>"$scratch/table"
  if ! grep -qx END "$scratch/results"; then
    echo "FAILED: machine $name did not reach its end; its console's last lines:"
    tail -n 20 "$scratch/console" | sed 's/^/    /'
    return 1
  fi
  [ "$(count FAILED)" = 0 ] && [ "$(count PASSED)" != 0 ]
}

outcome=77
for name in "$@"; do
  run_machine "$name"
  case $? in
    0) [ $outcome = 1 ] || outcome=0 ;;
    77) ;;
    *) outcome=1 ;;
  esac
done
heading "machines"
{
  echo 'machine|kernel|passed|failed|skipped|took'
  cat "$scratch/table"
} | column -t -s '|'
exit $outcome
