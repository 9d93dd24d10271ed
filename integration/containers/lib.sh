# What the scripts of this folder share: containers with the static binary in front. Sourced by each
# of them. SHMVISOR_STATIC is the path of the static binary.
. "$(dirname "$0")/../lib.sh" || exit 1
. "$(dirname "$0")/../podman.sh" || exit 1

need busybox busybox-static
[ -x "${SHMVISOR_STATIC:?path of the static binary}" ] || fail "no program at SHMVISOR_STATIC=$SHMVISOR_STATIC"

# A root file system with nothing in it but shmvisor and a static busybox: new_root FOLDER.
new_root() {
  mkdir -p "$1"/{proc,sys,dev,tmp,etc,run,bin} || fail mkdir
  chmod 1777 "$1/tmp"
  install -m 755 "$SHMVISOR_STATIC" "$1/shmvisor" || fail install
  install -m 755 "$(command -v busybox)" "$1/bin/busybox" || fail install
  ln -s busybox "$1/bin/sh"
}

# For a shell in the container: the number of segments in the kernel's own table. Where files of
# shmvisor's are laid over those of /proc it is theirs; then "closed" alone is the proof.
# shellcheck disable=SC2016
count_kernel_segments='n=-1; while read -r line; do n=$((n+1)); done </proc/sysvipc/shm; echo "kernel segments: $n"'
