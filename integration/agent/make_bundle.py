#!/usr/bin/env python3
"""make_bundle.py FOLDER [OPTION...] -- ARG...: writes FOLDER/config.json of an OCI bundle whose root file system is
FOLDER/rootfs, with the linux.seccomp object of standard input.
  --metadata TEXT  its listenerMetadata, also such as `shmvisor oci-profile` refuses
  --no-rule        none of its rules but one for a call that nobody makes"""
import argparse
import json
import sys

split = sys.argv.index("--")
parser = argparse.ArgumentParser()
parser.add_argument("folder")
parser.add_argument("--metadata")
parser.add_argument("--no-rule", action="store_true")
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
with open(f"{options.folder}/config.json", "w", encoding="utf-8") as file:
    json.dump(config, file)
