"""docker_profile.py FILE: from podman's default seccomp profile (FILE) to what Docker's refuses, on
standard output.

The two lists of allowed calls have one origin. Docker's answers EPERM to whatever is not on its
list, lets mount, unshare, setns and the like through with CAP_SYS_ADMIN only, pidfd_getfd with
CAP_SYS_PTRACE only, clone without new namespaces only, and answers ENOSYS to clone3."""

import json
import sys

NEW_NAMESPACES = 0x7E020000  # CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID, NET
FOR_SYS_ADMIN = {
    "clone3", "fsconfig", "fsmount", "fsopen", "fspick", "mount", "mount_setattr", "move_mount",
    "open_tree", "pivot_root", "setns", "umount", "umount2", "unshare",
}
FOR_SYS_PTRACE = {"pidfd_getfd"}
NEVER = {"keyctl", "clone"}

with open(sys.argv[1], encoding="ascii") as file:
    profile = json.load(file)

profile["defaultAction"] = "SCMP_ACT_ERRNO"
profile["defaultErrno"] = "EPERM"
profile["defaultErrnoRet"] = 1
taken = FOR_SYS_ADMIN | FOR_SYS_PTRACE | NEVER
for rule in profile["syscalls"]:
    if rule["action"] == "SCMP_ACT_ALLOW":
        rule["names"] = [name for name in rule["names"] if name not in taken]
allow = {"action": "SCMP_ACT_ALLOW", "args": []}
profile["syscalls"] = [rule for rule in profile["syscalls"] if rule["names"]] + [
    allow | {"names": sorted(FOR_SYS_ADMIN), "includes": {"caps": ["CAP_SYS_ADMIN"]}},
    allow | {"names": sorted(FOR_SYS_PTRACE), "includes": {"caps": ["CAP_SYS_PTRACE"]}},
    {
        "names": ["clone"],
        "action": "SCMP_ACT_ALLOW",
        "args": [{"index": 0, "value": NEW_NAMESPACES, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}],
        "excludes": {"caps": ["CAP_SYS_ADMIN"]},
    },
    {
        "names": ["clone3"],
        "action": "SCMP_ACT_ERRNO",
        "errno": "ENOSYS",
        "errnoRet": 38,
        "excludes": {"caps": ["CAP_SYS_ADMIN"]},
    },
]
json.dump(profile, sys.stdout, indent=1)
