#!/usr/bin/env python3
"""make_bundle.py FOLDER SOCKET METADATA [--no-rule] -- ARG...: writes FOLDER/config.json of an OCI bundle whose root
file system is FOLDER/rootfs and whose seccomp profile sends the listener to SOCKET."""
import json
import sys

folder, socket, metadata = sys.argv[1:4]
options = sys.argv[4 : sys.argv.index("--")]
arguments = sys.argv[sys.argv.index("--") + 1 :]

seccomp = {
    "defaultAction": "SCMP_ACT_ALLOW",
    "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    "listenerPath": socket,
    "syscalls": [{"names": ["shmget", "shmat", "shmctl", "shmdt"], "action": "SCMP_ACT_NOTIFY"}],
}
if metadata:
    seccomp["listenerMetadata"] = metadata
if "--no-rule" in options:
    seccomp["syscalls"] = [{"names": ["acct"], "action": "SCMP_ACT_NOTIFY"}]

config = {
    "ociVersion": "1.0.2",
    "process": {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": arguments,
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
with open(f"{folder}/config.json", "w", encoding="utf-8") as file:
    json.dump(config, file)
