# What the scripts of this folder share: the recipes of README.md, as they stand there. Sourced by
# each of them. README is the path of the README.
# shellcheck disable=SC2034
. "$(dirname "$0")/../containers/lib.sh" || exit 1
[ -r "${README:?path of the README}" ] || fail "no README at $README"

# The only block of a language that has a line which begins so:
# recipe LANGUAGE BEGINNING
recipe() {
  awk -v "fence=\`\`\`$1" -v "beginning=$2" '
    $0 == fence { inside = 1; text = ""; wanted = 0; next }
    /^```$/ { if (inside && wanted) { found++; all = all text } inside = 0; next }
    inside { text = text $0 "\n"; if (index($0, beginning) == 1) wanted = 1 }
    END { if (found == 1) printf "%s", all; exit found != 1 }' "$README" ||
    fail "the README has no recipe, or several, in $1 with a line '$2'"
}

# For the commands of recipes, as they are typed: a folder with the binary at build/static/shmvisor, and a podman
# with the flags that this machine needs.
make_workplace() {
  mkdir -p "$scratch/workplace/build/static" || fail mkdir
  strip -o "$scratch/workplace/build/static/shmvisor" "$SHMVISOR_STATIC" || fail strip
  cd "$scratch/workplace" || fail cd
}
podman() {
  local words=()
  case $1 in
    run) words=("${run_options[@]}" --sysctl kernel.shmmni=0) ;;
    build) words=(--isolation chroot) ;;
  esac
  timeout --kill-after=10 "${bound_seconds:-120}" "${podman_command[@]}" "$1" "${words[@]}" "${@:2}" </dev/null
}

# import_image ROOT TAG [CHANGE...]: an image of this machine's, in place of one of a registry's.
import_image() {
  local root=$1 tag=$2 changes=() change
  shift 2
  for change; do changes+=(--change "$change"); done
  tar -C "$root" --numeric-owner -cf "$scratch/image.tar" . || fail tar
  podman_here import --quiet "${changes[@]}" "$scratch/image.tar" "$tag" >"$scratch/log" 2>&1 || fail "podman import"
  rm "$scratch/image.tar"
}
