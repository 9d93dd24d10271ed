# sources PATTERN...: the source files of this project whose names match, one a line, from the root
# of the tree; sourced by the scripts beside it.
sources() {
  local pattern tests=()
  for pattern in "$@"; do tests+=(-o -name "$pattern"); done
  find .ci policy emulation supervisor tests integration -type f \( "${tests[@]:1}" \) | sort
}

# tool COMMAND PACKAGE: ends the test as skipped, or failed where the package was promised.
tool() {
  command -v "$1" >/dev/null && return
  echo "SKIPPED: $1 is missing (Debian package $2)"
  [ -z "${SHMVISOR_PACKAGES_PROMISED:-}" ] && exit 77
  exit 1
}
