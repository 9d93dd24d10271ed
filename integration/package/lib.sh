# What the scripts of this folder share. Sourced by each of them.
. "$(dirname "$0")/../lib.sh" || exit 1
[ -x "${SHMVISOR:?path of the shmvisor binary}" ] || fail "no program at SHMVISOR=$SHMVISOR"

# subcommands: one a line, also those that the help does not show.
subcommands() {
  "$SHMVISOR" completion bash | sed -n "s/^_shmvisor_subcommands.*'\(.*\)'.*/\1/p" | tr ' ' '\n' | grep . ||
    fail "the completion names no subcommands"
}
# options_of SUBCOMMAND: the long ones in its help, one a line.
options_of() { "$SHMVISOR" "$1" --help | grep -oE '^  (-., )?--[a-z-]+' | sed 's/.*--/--/'; }
