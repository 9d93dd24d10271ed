#!/usr/bin/env python3
"""Fails where a source file is longer than MOST_LINES: it has more than one responsibility then."""
import os
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
MOST_LINES = 400
TOPS = ("policy", "emulation", "supervisor", "tests", "integration")
ENDINGS = (".cc", ".h", ".c", ".py", ".sh")


def lengths():
    for top in TOPS:
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in names:
                path = os.path.join(folder, name)
                if name.endswith(ENDINGS):
                    with open(path, encoding="utf-8") as source:
                        yield sum(1 for _ in source), os.path.relpath(path, ROOT)


def main():
    measured = sorted(lengths())
    print("median:", measured[len(measured) // 2][0], "lines in", len(measured), "files")
    too_long = [(lines, path) for lines, path in measured if lines > MOST_LINES]
    for lines, path in too_long:
        print(f"{path}: {lines} lines, more than {MOST_LINES}")
    return 1 if too_long else 0


if __name__ == "__main__":
    sys.exit(main())
