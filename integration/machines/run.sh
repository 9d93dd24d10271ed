#!/bin/bash
# run.sh [--tests NAME,...] [MACHINE...]: boots Debian's kernels in qemu and runs tests of shmvisor inside: see
# README.md. Without names, all machines, one after the other. Ends with 77 where there was none to boot.
set -u
here=$(cd "$(dirname "$0")" && pwd)
integration=$(dirname "$here")
. "$integration/lib.sh" || exit 1
. "$here/debian.sh" || exit 1
. "$here/kernels.sh" || exit 1
. "$here/initramfs.sh" || exit 1
: "${SHMVISOR:=$(dirname "$integration")/build/release/shmvisor}"
: "${SHMVISOR_AARCH64:=$(dirname "$integration")/build/aarch64/shmvisor}"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/shmvisor-machines
tests=
[ "${1:-}" != --tests ] || { tests=$2 && shift 2; }
[ $# != 0 ] || set -- 5.10 6.1 6.12 newest aarch64-6.1
boot_bound_seconds=${SHMVISOR_MACHINE_SECONDS:-1500}

[ "$(uname -m)" = x86_64 ] || skip "machines run on x86-64 alone"
need busybox busybox-static
mkdir -p "$cache" || fail "mkdir $cache"
make_scratch

# prepare ARCHITECTURE PROGRAM QEMU PACKAGE PRESET: $root, for machines of that architecture. False where there are
# no programs for them; the reason is in $no_kernel.
prepare() {
  if ! command -v "$3" >/dev/null; then
    [ -z "${SHMVISOR_PACKAGES_PROMISED:-}" ] || fail "$3 is missing (Debian package $4)"
    no_kernel="$3 is missing (Debian package $4)"
    return 1
  fi
  root=$scratch/root-$1
  [ ! -e "$root" ] || return 0
  if [ ! -x "$2" ] || [ ! -x "$(dirname "$2")/integration/oracle/oracle_shmat" ]; then
    no_kernel="no program at $2, or no test programs beside it: build the preset $5"
    return 1
  fi
  [ "$1" = amd64 ] || no_kernel=$(bash "$here/sysroot.sh" 2>&1 >/dev/null) || return 1
  make_root "$root" "$1" "$2" || fail "the machines' root folder could not be made"
}

# find_machine NAME: $kernel and $root of it.
find_machine() {
  fetch_kernel "$1" || return 1
  case $debian_architecture in
    amd64) prepare amd64 "$SHMVISOR" qemu-system-x86_64 qemu-system-x86 release ;;
    *) prepare arm64 "$SHMVISOR_AARCH64" qemu-system-aarch64 qemu-system-arm aarch64 ;;
  esac
}

# boot QEMU WORDS OPTION...: with settings that let a guest's clock run by its instructions, not by the host's
# clock: with those of a loaded host guests panic.
boot() {
  local qemu=$1 words=$2
  shift 2
  timeout --kill-after=10 "$boot_bound_seconds" "$qemu" -accel tcg,thread=single \
    -icount shift=1,sleep=off -smp 1 -cpu max -m 1024 -nodefaults -no-reboot -display none \
    -serial "file:$scratch/console" "$@" -kernel "$kernel/vmlinuz" -initrd "$scratch/initramfs" \
    -append "panic=-1 quiet mitigations=off $words shmvisor_tests=$tests" </dev/null
}

boot_amd64() {
  boot qemu-system-x86_64 'console=ttyS0 no_timer_check shmvisor_results=ttyS1' -serial "file:$scratch/results"
}

boot_arm64() {
  boot qemu-system-aarch64 'console=ttyAMA0 shmvisor_results=ttyS0' -machine virt \
    -chardev "file,id=results,path=$scratch/results" -device pci-serial,chardev=results
}

count() { grep -ac "^$1 " "$scratch/results"; }

# run_machine NAME: adds its row to $scratch/table; status 77 where its kernel is not to be had.
run_machine() {
  local name=$1 begin=$SECONDS release
  if ! find_machine "$name"; then
    echo "SKIPPED: machine $name: $no_kernel"
    printf '%s|-|-|-|-|%s\n' "$name" "$no_kernel" >>"$scratch/table"
    return 77
  fi
  make_initramfs "$root" "$kernel" "$scratch/initramfs" || fail "no initramfs"
  heading "machine $name"
  : >"$scratch/results"
  "boot_$debian_architecture"
  cat "$scratch/results"
  release=$(sed -n 's/^KERNEL //p' "$scratch/results")
  printf '%s|%s|%s|%s|%s|%s s\n' "$name" "${release:--}" "$(count PASSED)" "$(count FAILED)" "$(count SKIPPED)" \
    "$((SECONDS - begin))" >>"$scratch/table"
  if ! grep -qx END "$scratch/results"; then
    echo "FAILED: machine $name did not reach its end; its console's last lines:"
    tail -n 20 "$scratch/console" | sed 's/^/    /'
    return 1
  fi
  # For reach.sh, which is about whole runs.
  [ -n "$tests" ] || cp "$scratch/results" "$cache/results-$name"
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
