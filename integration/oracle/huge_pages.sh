#!/bin/bash
# huge_pages.sh PROGRAM: the oracle program over each huge page size of which a few pages can be had.
# They are taken for the time of the test and given back.
. "$(dirname "$0")/../lib.sh" || exit 1
[ $# = 1 ] || fail "usage: huge_pages.sh PROGRAM"
[ "$(id -u)" = 0 ] || skip "needs root, to reserve huge pages"
pool=/sys/kernel/mm/hugepages
[ -d "$pool" ] || skip "this kernel has no huge pages"

sizes=()
before=()
restore() {
  local at
  for at in "${!sizes[@]}"; do
    echo "${before[$at]}" >"$pool/hugepages-${sizes[$at]}kB/nr_hugepages"
  done
}
trap restore EXIT

# take SIZE_KIB PAGES: so many more pages in the pool, or the size is left out.
take() {
  local folder=$pool/hugepages-$1kB had
  [ -d "$folder" ] || return 0
  had=$(cat "$folder/nr_hugepages")
  { echo $((had + $2)) >"$folder/nr_hugepages"; } 2>/dev/null || skip "the number of huge pages cannot be set here"
  sizes+=("$1")
  before+=("$had")
  [ $(($(cat "$folder/free_hugepages") - $(cat "$folder/resv_hugepages"))) -ge "$2" ] && return 0
  echo "left out: no $2 free pages of $1 KiB"
  echo "$had" >"$folder/nr_hugepages"
  unset 'sizes[-1]' 'before[-1]'
}

# The default size first.
default=$(awk '/^Hugepagesize:/ { print $2 }' /proc/meminfo)
take "$default" 4
for folder in "$pool"/hugepages-*kB; do
  size=${folder##*-}
  size=${size%kB}
  [ "$size" = "$default" ] || take "$size" 1
done
[ ${#sizes[@]} -gt 0 ] || skip "no huge pages can be had"
bash "$(dirname "$0")/compare.sh" "$1" "${sizes[@]}"
