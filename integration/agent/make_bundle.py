#!/usr/bin/env python3
"""make_bundle.py FOLDER [OPTION...] -- ARG...: writes FOLDER/config.json of an OCI bundle whose root file system is
FOLDER/rootfs, with the linux.seccomp object of standard input.
  --metadata TEXT  its listenerMetadata, also such as `shmvisor oci-profile` refuses
  --receiver PATH  the listener's receiver as crun's annotation, not as listenerPath
  --no-rule        none of its rules but one for a call that nobody makes
  --host-pid       in the machine's pid namespace
  --userns         in a user namespace, where its root is the user 100000"""
import argparse
import json
import sys

split = sys.argv.index("--")
parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--metadata")
parser.add_argument("--receiver")
for name in ("--no-rule", "--host-pid", "--userns"):
    parser.add_argument(name, action="store_true")
options = parser.parse_args(sys.argv[1:split])

seccomp = json.load(sys.stdin)
if options.metadata is not None:
    seccomp["listenerMetadata"] = options.metadata
if options.no_rule:
    seccomp["syscalls"] = [{"names": ["acct"], "action": "SCMP_ACT_NOTIFY"}]

config = {
    "ociVersion": "1.0.2",
    "process": {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": sys.argv[split + 1 :],
        "env": ["PATH=/bin"],
        "cwd": "/",
        "noNewPrivileges": True,
    },
    "root": {"path": "rootfs"},
    "hostname": "bundle",
    "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
    "linux": {
        # Whatever reaches the kernel's own table fails.
        "sysctl": {"kernel.shmmni": "0"},
        "namespaces": [{"type": kind} for kind in ("pid", "ipc", "mount", "uts")],
        "seccomp": seccomp,
    },
}
if options.host_pid:
    config["linux"]["namespaces"].remove({"type": "pid"})
    config["mounts"] = [{"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]}]
if options.userns:
    config["linux"]["namespaces"].append({"type": "user"})
    for ids in ("uidMappings", "gidMappings"):
        config["linux"][ids] = [{"containerID": 0, "hostID": 100000, "size": 1000}]
if options.receiver is not None:
    del seccomp["listenerPath"]
    config["annotations"] = {"run.oci.seccomp.receiver": options.receiver}
with open(f"{options.folder}/config.json", "w", encoding="utf-8") as file:
    json.dump(config, file)
