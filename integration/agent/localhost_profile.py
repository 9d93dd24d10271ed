"""localhost_profile.py FILE: podman's default seccomp profile (FILE) for a container without any capability on
x86-64, as linux.seccomp of the OCI runtime specification has it, on standard output.

That is how containerd reads the profiles that a Kubernetes node keeps as localhost profiles: it hands them to the
runtime as they are, and knows neither archMap nor rules that depend on capabilities."""

import json
import sys

with open(sys.argv[1], encoding="ascii") as file:
    profile = json.load(file)

for entry in profile.pop("archMap"):
    if entry["architecture"] == "SCMP_ARCH_X86_64":
        profile["architectures"] = ["SCMP_ARCH_X86_64", *entry["subArchitectures"]]
del profile["defaultErrno"]


def applies(rule):
    includes = rule.pop("includes") or {}
    rule.pop("excludes")
    return not includes.get("caps") and "amd64" in (includes.get("arches") or ["amd64"])


profile["syscalls"] = [rule for rule in profile["syscalls"] if applies(rule)]
for rule in profile["syscalls"]:
    del rule["comment"]
    rule.pop("errno", None)
json.dump(profile, sys.stdout, indent=1)
