#!/bin/bash
# reach.sh: what was seen in each machine when it last ran, as a table in Markdown: the one of README.md. run.sh keeps
# the results below $cache.
set -u
cache=${XDG_CACHE_HOME:-$HOME/.cache}/shmvisor-machines

# cell FILE PATTERN [EXCEPT]: what became of the tests whose names match.
cell() {
  local lines passed failed skipped
  lines=$(grep -aE "^(PASSED|FAILED|SKIPPED) ($2)(:|$)" "$1" | grep -avE "^[A-Z]+ (${3:-none})(:|$)")
  passed=$(grep -c '^PASSED' <<<"$lines")
  failed=$(sed -n 's/^FAILED \([^:]*\):.*/\1/p' <<<"$lines" | paste -s -d ' ')
  skipped=$(sed -n 's/^SKIPPED [^:]*: //p' <<<"$lines" | sort -u | paste -s -d ';')
  if [ -n "$failed" ]; then
    echo "**no**: $failed"
  elif [ "$passed" != 0 ]; then
    echo "yes ($passed)"
  else
    echo "no: ${skipped:-not run}"
  fi
}

narrow='oracle\..*_(i386|arm)'
user='oracle\..*_as_user'
compgen -G "$cache/results-*" >/dev/null || { echo "no machine was run yet" >&2 && exit 1; }
echo '| machine | Linux | seen on | starts | oracle | i386 or arm | ordinary user | /proc files | Yama |'
echo '| --- | --- | --- | --- | --- | --- | --- | --- | --- |'
for file in "$cache"/results-*; do
  echo "| \`${file##*/results-}\` | $(sed -n 's/^KERNEL //p' "$file") | $(date -r "$file" +%F) |" \
    "$(cell "$file" 'check|ends_on_time|page_size') |" \
    "$(cell "$file" 'oracle\..*' "$narrow|$user") | $(cell "$file" "$narrow") | $(cell "$file" "$user") |" \
    "$(cell "$file" 'procfiles\..*') | $(cell "$file" yama) |"
done
