#!/bin/bash
# The recipe's pod, played by podman.
. "$(dirname "$0")/lib.sh" || exit 1
make_container_scratch
# The rights of a pod cannot be given on the command line. Its first container, which holds the namespaces:
cat >>"$scratch/containers.conf" <<'END'
infra_image = "localhost/infra:1"
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=30000:30000"]
END
mkdir -p "$scratch/infra/bin" && cp "$(command -v busybox)" "$scratch/infra/bin/" || fail cp
import_image "$scratch/infra" infra:1 'ENTRYPOINT ["/bin/busybox", "sh", "-c", "trap exit TERM; while :; do /bin/busybox sleep 1; done"]'
machine_root "$scratch/root" /bin/{bash,sed,grep} /usr/bin/{ipcmk,ipcrm,id} "$SHMVISOR_STATIC" "$(dirname "$0")/server"
import_image "$scratch/root" server:1 'ENV PATH=/usr/bin'
recipe yaml 'kind: Pod' >"$scratch/pod.yaml"
name=shmvisor-recipe-$$
sed -i "s/^  name: server$/  name: $name/" "$scratch/pod.yaml"
remove_all() {
  local pod
  pod=$(podman_here pod ps --quiet --no-trunc)
  podman_here pod rm --all --force --time 0 >/dev/null 2>&1
  # podman forgets some.
  [ -z "$pod" ] || rmdir /sys/fs/cgroup/*/libpod_parent/"$pod" 2>/dev/null
  rm -rf --one-file-system "$scratch"
}
trap remove_all EXIT

podman_here play kube --network none "$scratch/pod.yaml" >"$scratch/log" 2>&1 || fail "podman play kube"
container=$name-server
expect "exit status" 0 "$(podman_here wait "$container")"
podman_here logs "$container" >"$scratch/out" 2>"$scratch/log"
diff -u - "$scratch/out" <<'END' || fail "the server says something else"
kernel segments: 0
below shmvisor
uid 0: no
capabilities 0000000000000000 0000000000000000 no_new_privs 1
removed
END
assert_silent "$scratch/log"
