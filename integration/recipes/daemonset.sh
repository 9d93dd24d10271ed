#!/bin/bash
# daemonset.sh FAKE_RUNTIME SEGMENT: the recipes of the agent's image and of its DaemonSet. The image is built, the pod of
# the DaemonSet is played by podman, and serves a container of this machine's.
. "$(dirname "$0")/lib.sh" || exit 1
fake_runtime=$1
segment=$2
# Debian's python3, which has the modules of Debian's packages.
PATH=/usr/bin:$PATH
need python3 python3
python3 -c 'import yaml' 2>/dev/null || need yaml python3-yaml
make_container_scratch
make_workplace

heading "the image"
recipe dockerfile 'FROM scratch' >Agentfile
recipe sh 'podman build --tag shmvisor' >command
# shellcheck disable=SC1091
. ./command >"$scratch/log" 2>&1 || fail "podman build"
image=$(sed -n 's/.*--tag \([^ ]*\).*/\1/p' command)
version=$("$SHMVISOR" --version)
[[ "$version." == "shmvisor ${image#shmvisor:}."* ]] || fail "the recipe makes $image of $version"
expect "what it is" "$version" "$(container "localhost/$image" --version)"
mount=$(podman_here image mount "localhost/$image") || fail "podman image mount"
expect "what is in it" "/shmvisor" "$(cd "$mount" && find . -type f | cut -c 2-)"

heading "the manifest"
recipe yaml 'kind: DaemonSet' >daemonset.yaml
sockets=$scratch/sockets
mkdir "$sockets" || fail mkdir
# podman 4.3 plays pods without their hostPID: for each container the words of `podman run` that mean the same, in a file
# words.NAME, one a line.
python3 - daemonset.yaml "$sockets" <<'END' || fail "the manifest is not sound"
import sys, yaml
with open(sys.argv[1], encoding="utf-8") as file:
    (manifest,) = yaml.safe_load_all(file)
assert (manifest["apiVersion"], manifest["kind"]) == ("apps/v1", "DaemonSet")
spec = manifest["spec"]
assert set(spec) == {"selector", "template"}
template = spec["template"]
assert spec["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
pod = template["spec"]
assert set(pod) <= {"priorityClassName", "tolerations", "hostPID", "containers", "volumes"}, set(pod)
(volume,) = pod["volumes"]
assert volume["hostPath"] == {"path": "/run/shmvisor", "type": "DirectoryOrCreate"}

def words_of(container):
    assert set(container) <= {"name", "image", "args", "ports", "securityContext", "volumeMounts"}, set(container)
    rights = container["securityContext"]
    assert rights.pop("seccompProfile") == {"type": "RuntimeDefault"}
    words = ["--pid", "host"] if pod["hostPID"] else []
    words += ["--user", str(rights.pop("runAsUser"))]
    words += ["--read-only"] if rights.pop("readOnlyRootFilesystem") else []
    words += ["--security-opt", "no-new-privileges"] if not rights.pop("allowPrivilegeEscalation") else []
    for way, names in rights.pop("capabilities").items():
        words += [word for name in names for word in (f"--cap-{way}", name)]
    assert not rights, rights
    (mount,) = container["volumeMounts"]
    assert (mount["name"], mount["mountPath"]) == (volume["name"], "/run/shmvisor")
    how = ":ro" if mount.get("readOnly") else ""
    return words + ["--volume", f"{sys.argv[2]}:/run/shmvisor{how}", "localhost/" + container["image"], *container["args"]]

for container in pod["containers"]:
    with open("words." + container["name"], "w", encoding="utf-8") as words:
        print("\n".join(words_of(container)), file=words)
    for port in container.get("ports", []):
        assert any(word.endswith(f":{port['containerPort']}") for word in container["args"]), port
END

heading "the pod"
agent=shmvisor-daemonset-$$
exporter=$agent-metrics
remove_all() {
  [ -z "${held:-}" ] || kill "$held"
  podman_here rm --all --force --time 0 >/dev/null 2>&1
  podman_here image umount --all >/dev/null 2>&1
  rm -rf --one-file-system "$scratch"
}
trap remove_all EXIT
# start NAME CONTAINER
start() {
  local words
  mapfile -t words <"words.$2"
  podman_here run --detach --name "$1" "${run_options[@]}" "${words[@]}" >"$scratch/log" 2>&1 || fail "podman run $2"
}
start "$agent" agent
start "$exporter" metrics
wait_until 20 test -S "$sockets/agent.sock" || fail "no socket: $(podman_here logs "$agent" 2>&1)"
"$fake_runtime" "$sockets/agent.sock" one shmmni=5 3 2>"$scratch/log" || fail "a container is not served: $(podman_here logs "$agent" 2>&1)"
"$fake_runtime" "$sockets/agent.sock" two shmmni=5 -- "$segment" hold 5 text >"$scratch/held" &
held=$!
wait_until 20 grep -qx held "$scratch/held" || fail "container two: $(cat "$scratch/held"); $(podman_here logs "$agent" 2>&1)"
inside() { podman_here exec "$agent" /shmvisor "$@"; }
expect "segments, seen by podman exec" 1 "$(inside ls -q --registry two | wc -l)"
expect "processes that map them" "$held" "$(inside maps --registry two | awk 'NR == 2 { print $1 }')"
expect "segments, seen from the host" 1 "$("$SHMVISOR" ls -q --control "$sockets/agent.control" --registry two | wc -l)"
# In the network namespace that the two containers of the pod have in common.
scrape() {
  nsenter --net --target "$(podman_here inspect --format '{{.State.Pid}}' "$exporter")" python3 -c '
import urllib.request
print(urllib.request.urlopen("http://127.0.0.1:9477/metrics", timeout=20).read().decode())' >"$scratch/metrics" 2>"$scratch/log"
}
wait_until 20 scrape || fail "no metrics: $(podman_here logs "$exporter" 2>&1)"
grep -qE '^shmvisor_segments\{[^}]*registry="two"[^}]*\} 1$' "$scratch/metrics" || fail "not the container's segment: $(cat "$scratch/metrics")"
expect "modes" "$(printf "600\n600")" "$(stat -c %a "$sockets/agent.sock" "$sockets/agent.control")"
kill "$held"
wait "$held" 2>/dev/null
held=
podman_here stop --time 20 "$exporter" "$agent" >"$scratch/log" 2>&1 || fail "podman stop"
expect "exit status" 0 "$(podman_here inspect --format '{{.State.ExitCode}}' "$agent")"
podman_here logs "$agent" >"$scratch/log" 2>&1
assert_silent "$scratch/log"
