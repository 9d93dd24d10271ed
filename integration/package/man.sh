#!/bin/bash
# man.sh SHMVISOR.1 SHMVISOR.TOML.5 EXAMPLE: that the man pages are sound, and name the options of the program, and the keys
# of the file EXAMPLE, which has all: each of them, and no others.
. "$(dirname "$0")/lib.sh" || exit 1
need man man-db
need groff groff-base
need col bsdextrautils
make_scratch
for page in "$1" "$2"; do
  heading "$page"
  MANROFFSEQ='' MANWIDTH=80 man --warnings --encoding=utf8 --local-file "$page" >"$scratch/page" 2>"$scratch/warnings" ||
    fail "man: status $?"
  assert_silent "$scratch/warnings"
  [ "$(wc -l <"$scratch/page")" -gt 40 ] || fail "the page is short: $(cat "$scratch/page")"
  awk 'length > 90 { print; wide = 1 } END { exit wide }' "$scratch/page" || fail "the page is wide"
done

heading "options"
MANWIDTH=80 man --encoding=ascii --no-justification --no-hyphenation --local-file "$1" | col -b >"$scratch/ascii" || fail man
# "SUBCOMMAND OPTION" for each, "-" where it is in a chapter for several. What is said of a short one is on its line.
awk '/^[A-Z]/ { section = "-" }
  /^   shmvisor / { section = $2 }
  /^       (-., )?--[a-z]/ { sub(/^ +/, ""); sub(/ +[A-Z][a-z].*/, ""); print section " " $0 }' "$scratch/ascii" | sort -u >"$scratch/documented"
for subcommand in $(subcommands); do
  grep -q "^   shmvisor $subcommand" "$scratch/ascii" || fail "the page does not tell of $subcommand"
  "$SHMVISOR" "$subcommand" --help | grep -oE '^  (-., )?--[a-z-]+(( |\[=)[A-Z]+\]?)?' | sed "s/^ */$subcommand /"
done | sort >"$scratch/defined"
[ "$(wc -l <"$scratch/defined")" -gt 50 ] || fail "the helps name few options"
while read -r subcommand option; do
  grep -qxF -e "$subcommand $option" -e "- $option" "$scratch/documented" ||
    fail "the page does not tell of '$option' of $subcommand"
done <"$scratch/defined"
while read -r subcommand option; do
  if [ "$subcommand" = - ]; then
    cut -d ' ' -f 2- "$scratch/defined" | grep -qxF -e "$option" || fail "the page tells of '$option', which no subcommand has"
  else
    grep -qxF -e "$subcommand $option" "$scratch/defined" || fail "the page tells of '$option', which $subcommand does not have"
  fi
done <"$scratch/documented"

heading "keys of the configuration file"
MANWIDTH=80 man --encoding=ascii --no-justification --no-hyphenation --local-file "$2" | col -b >"$scratch/ascii" || fail man
awk '/^\.SH/ { keys = $2 == "KEYS" } keys && (last == ".TP" || last == ".TQ") { print $2 } { last = $0 }' "$2" |
  sort -u >"$scratch/documented"
# Those of [run] and [agent] are options.
awk '/^\[/ { options = /^\[(run|agent)\]/ } /^[a-z-]+ *=/ && !options { print $1 }' "$3" | sort -u >"$scratch/defined"
diff -u "$scratch/defined" "$scratch/documented" || fail "the page has other keys than the example"
sed -n '/^EXAMPLES/,/^SEE ALSO/p' "$scratch/ascii" | grep '^       ' | sed 's/^ *//' >"$scratch/example.toml"
"$SHMVISOR" config check "$scratch/example.toml" || fail "the page's example is refused: $(cat "$scratch/example.toml")"
