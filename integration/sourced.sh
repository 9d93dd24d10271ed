#!/bin/bash
# A script whose library cannot be sourced fails, at once: none goes on and finds that all is well.
. "$(dirname "$0")/lib.sh" || exit 1
make_scratch
here=$(realpath "$(dirname "$0")")

count=0
while read -r script; do
  mkdir -p "$scratch/alone/folder"
  cp "$script" "$scratch/alone/folder/script.sh" || fail cp
  (cd "$scratch/alone/folder" && timeout --kill-after=1 10 bash script.sh true true >out 2>err </dev/null)
  status=$?
  case $status in
    0 | 77 | 124 | 137) fail "$script goes on without its library: status $status, $(head -c 500 "$scratch/alone/folder/out" "$scratch/alone/folder/err")" ;;
  esac
  rm -r "$scratch/alone"
  count=$((count + 1))
done < <(grep -rlE --include='*.sh' '^ *(\.|source) ' "$here" | grep -vE '/(lib|podman|bundles|fuse|packages)\.sh$')
[ "$count" -gt 50 ] || fail "only $count scripts found"
echo "$count scripts"
