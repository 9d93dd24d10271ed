# What the scripts of this folder share: containers made of a folder, with the static binary in
# front. Sourced by each of them.
#
# SHMVISOR_STATIC is the path of the static binary. Every container has IPC, PID and mount
# namespaces of its own; storage and run folders are private, so that nothing is left behind.
. "$(dirname "$0")/../lib.sh"

need podman podman
need runc runc
need busybox busybox-static
need_root
[ -x "${SHMVISOR_STATIC:?path of the static binary}" ] || fail "no program at SHMVISOR_STATIC=$SHMVISOR_STATIC"

podman_here() {
  timeout --kill-after=10 "${bound_seconds:-120}" podman --root "$scratch/storage" \
    --runroot "$scratch/run" --tmpdir "$scratch/tmp" --storage-driver vfs --runtime runc \
    --cgroup-manager cgroupfs "$@"
}

# make_scratch(), and nothing of podman's stays behind either, also after a failure.
make_container_scratch() {
  make_scratch
  trap 'podman_here rm --all --force --time 0 >/dev/null 2>&1; rm -rf --one-file-system "$scratch"' EXIT
}

# A root file system with nothing in it but shmvisor and a static busybox: new_root FOLDER.
new_root() {
  mkdir -p "$1"/{proc,sys,dev,tmp,etc,run,bin} || fail mkdir
  chmod 1777 "$1/tmp"
  install -m 755 "$SHMVISOR_STATIC" "$1/shmvisor" || fail install
  install -m 755 "$(command -v busybox)" "$1/bin/busybox" || fail install
  ln -s busybox "$1/bin/sh"
}

# container [OPTION...] --rootfs ROOT COMMAND...: no network, and no limit that needs more rights.
container() {
  podman_here run --rm --name "shmvisor-test-$$" --ulimit nofile=20000:20000 \
    --ulimit nproc=30000:30000 --network none "$@"
}

# Whether any container starts here; otherwise the script is skipped. need_containers [OPTION...] ROOT
need_containers() {
  local status
  for _ in 1 2 3; do
    container "${@:1:$#-1}" --rootfs "${@: -1}" /bin/sh -c 'echo started' >"$scratch/probe" 2>"$scratch/log"
    status=$?
    grep -qx started "$scratch/probe" && return
  done
  skip "no container starts here: status $status, $(tail -n 1 "$scratch/log")"
}

# Nothing can be made in the kernel's own table of the container's IPC namespace.
closed='--sysctl kernel.shmmni=0'

# For a shell in the container: the number of segments in the kernel's own table. Where files of
# shmvisor's are laid over those of /proc it is theirs; then "closed" alone is the proof.
# shellcheck disable=SC2016
count_kernel_segments='n=-1; while read -r line; do n=$((n+1)); done </proc/sysvipc/shm; echo "kernel segments: $n"'
