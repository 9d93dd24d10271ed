#!/usr/bin/env python3
"""Holds the direction of includes: a folder includes only folders that stand above it in LAYERS.

    include_directions.py [--list]

Without an option the test fails and names each include that points the other way, each folder that
LAYERS does not know, and each header of the system that a folder of PURE includes and is not C++'s
own. With --list the folders are printed, each with the folders it includes.
"""
import collections
import os
import re
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))

# From the plain types that know nothing to the program that knows everything.
LAYERS = """
policy/base
policy/limits
policy/rules
emulation/abi
policy/filter/arch
policy/filter
policy/oci
emulation/ipc
emulation/memmap
emulation/shm
emulation/syscalls
supervisor/kernel
supervisor/keeper
supervisor/saved
supervisor/config
supervisor/log
supervisor/audit
supervisor/tasks
supervisor/loop
supervisor/procfs
supervisor/resources
supervisor/credentials
supervisor/scope
supervisor/attaches
supervisor/namespaces
supervisor/memory
supervisor/journal
supervisor/notify
supervisor/inject/arch
supervisor/inject
supervisor/serve
supervisor/procfiles
supervisor/session
supervisor/control
supervisor/http
supervisor/client
supervisor/check
supervisor/join
supervisor/launch
supervisor/agent
supervisor/cli
supervisor
""".split()

# A folder of one architecture implements what the folder around it declares, and is of its layer.
ARCHITECTURES = {"x86", "aarch64", "none"}
# Folders, with those below them, that know no process, no file, no thread and no library: of the
# system they include headers of C++ and these alone.
PURE = {
    "policy/base": {"unistd.h"},  # UniqueFd closes
    "policy/limits": set(),
    "policy/rules": set(),
    # A lock that prefers writers; the size of a page.
    "emulation": {"sys/types.h", "pthread.h", "unistd.h"},
}
# Headers of C++ that lead to files, threads and terminals.
IMPURE = {"filesystem", "fstream", "iostream", "thread", "future", "csignal", "ctime"}

INCLUDE = re.compile(r'^#include "([^"]+)"', re.MULTILINE)
SYSTEM_INCLUDE = re.compile(r"^#include <([^>]+)>", re.MULTILINE)


def includes(pattern):
    """Pairs of (file, included file), the first as a path from the root."""
    for top in ("policy", "emulation", "supervisor"):
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in sorted(names):
                if not name.endswith((".cc", ".h")):
                    continue
                path = os.path.relpath(os.path.join(folder, name), ROOT)
                with open(os.path.join(ROOT, path), encoding="utf-8") as source:
                    for included in pattern.findall(source.read()):
                        yield path, included


def layer(path):
    folder = os.path.dirname(path)
    return os.path.dirname(folder) if os.path.basename(folder) in ARCHITECTURES else folder


def impurities():
    for path, included in includes(SYSTEM_INCLUDE):
        for folder, allowed in PURE.items():
            if not path.startswith(folder + "/") or included in allowed:
                continue
            if "." in included or "/" in included or included in IMPURE:
                yield f"{path}: includes <{included}>, which {folder} has no use for"


def main():
    height = {folder: place for place, folder in enumerate(LAYERS)}
    folders = collections.defaultdict(set)
    wrong = []
    for path, included in includes(INCLUDE):
        one, other = layer(path), layer(included)
        for folder in (one, other):
            if folder not in height:
                wrong.append(f"{path}: folder {folder} is not in LAYERS of {os.path.basename(__file__)}")
        if not os.path.exists(os.path.join(ROOT, included)):
            wrong.append(f"{path}: includes {included}, which does not exist")
        folders[one]
        if one != other:
            folders[one].add(other)
            if height.get(other, 0) > height.get(one, len(LAYERS)):
                wrong.append(f"{path}: includes {included}, and {other} builds on {one}")
    if "--list" in sys.argv[1:]:
        for folder in sorted(folders, key=lambda name: height.get(name, -1)):
            print(folder, "->", " ".join(sorted(folders[folder], key=lambda name: height.get(name, -1))))
    wrong.extend(impurities())
    for line in sorted(set(wrong)):
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
