#!/bin/bash
# Fails where shellcheck warns of a script.
set -eu
. "$(dirname "$0")/sources.sh"
tool shellcheck shellcheck
{
  sources '*.sh'
  echo .ci/run
} | LC_ALL=C.UTF-8 xargs -n 16 shellcheck -S warning
