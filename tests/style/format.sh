#!/bin/bash
# Fails where clang-format would change a source file. To let it: cmake --build --preset release --target format
set -eu
. "$(dirname "$0")/sources.sh"
tool clang-format clang-format
sources '*.cc' '*.h' '*.c' | xargs clang-format --dry-run -Werror
