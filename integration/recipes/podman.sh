#!/bin/bash
# The recipe's command for an image that stays as it is, as it stands there.
. "$(dirname "$0")/lib.sh" || exit 1
make_container_scratch
make_workplace
machine_root "$scratch/root" /bin/bash /usr/bin/ipcmk
import_image "$scratch/root" debian:12 'CMD ["bash"]'
recipe sh 'podman run --user' >command
cat command
# shellcheck disable=SC1091
. ./command >"$scratch/out" 2>"$scratch/log" || fail "status $?"
expect "what ipcmk says" 'Shared memory id: 0' "$(cat "$scratch/out")"
assert_silent "$scratch/log"
