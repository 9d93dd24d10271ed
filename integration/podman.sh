# Containers of podman, for the scripts that start some; sourced after lib.sh.
#
# Storage, run folders and locks are private, so that nothing is left behind and no podman waits for
# another one. (Its default lock is one of the whole machine, whatever folders it is given.)
# Every container has IPC, PID and mount namespaces of its own, and runs on runc.
need podman podman
need runc runc
need_root

# make_scratch(), and nothing of podman's stays behind either, also after a failure.
make_container_scratch() {
  make_scratch
  printf '[engine]\nlock_type = "file"\n' >"$scratch/containers.conf"
  export CONTAINERS_CONF=$scratch/containers.conf
  podman_command=(podman --root "$scratch/storage" --runroot "$scratch/run" --tmpdir "$scratch/tmp"
    --storage-driver vfs --runtime runc --cgroup-manager cgroupfs)
  # No network, and no limit that needs more rights.
  run_options=(--ulimit nofile=20000:20000 --ulimit nproc=30000:30000 --network none)
  trap 'podman_here rm --all --force --time 0 >/dev/null 2>&1; rm -rf --one-file-system "$scratch"' EXIT
}

podman_here() {
  timeout --kill-after=10 "${bound_seconds:-120}" "${podman_command[@]}" "$@"
}

# container [OPTION...] --rootfs ROOT COMMAND...
container() {
  podman_here run --rm "${run_options[@]}" "$@"
}

# Whether any container starts here; otherwise the script is skipped. need_containers [OPTION...] ROOT
need_containers() {
  container "${@:1:$#-1}" --rootfs "${@: -1}" /bin/sh -c 'echo started' >"$scratch/probe" 2>"$scratch/log"
  local status=$?
  grep -qx started "$scratch/probe" && return
  case $status in
    124 | 137) fail "a container does not come to its end: status $status" ;;
  esac
  skip "no container starts here: status $status, $(tail -n 1 "$scratch/log")"
}

# A root file system out of this machine's programs and what they are linked to:
# machine_root FOLDER PROGRAM...
machine_root() {
  local root=$1 program library
  shift
  mkdir -p "$root"/{proc,sys,dev,tmp,etc,run,usr/bin,usr/lib64,usr/lib} || fail mkdir
  chmod 1777 "$root/tmp"
  ln -s usr/bin "$root/bin"
  ln -s usr/lib "$root/lib"
  ln -s usr/lib64 "$root/lib64"
  for program; do
    install -m 755 "$program" "$root/usr/bin/" || fail "install $program"
  done
  ldd "$root"/usr/bin/* 2>/dev/null | grep -Eo '/[^ ]+ \(0x' | sed 's/ .*//' | sort -u | while read -r library; do
    mkdir -p "$root/$(dirname "${library#/}")"
    cp -L "$library" "$root/$(dirname "${library#/}")/"
  done
  ln -sf bash "$root/usr/bin/sh"
}

# Nothing can be made in the kernel's own table of the container's IPC namespace.
closed='--sysctl kernel.shmmni=0'
