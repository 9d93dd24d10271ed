#!/bin/bash
# swap.sh PROGRAM: the oracle program with some swap of the test's own, taken away at its end.
. "$(dirname "$0")/../lib.sh" || exit 1
[ $# = 1 ] || fail "usage: swap.sh PROGRAM"
need_root
need mkswap util-linux
need swapon util-linux
make_scratch
give_back() {
  swapoff "$scratch/swap" 2>/dev/null
  rm -rf --one-file-system "$scratch"
}
trap give_back EXIT
# Without holes, as swapon(8) asks.
dd if=/dev/zero of="$scratch/swap" bs=1M count=32 status=none || skip "no room for 32 MiB of swap"
chmod 600 "$scratch/swap"
mkswap "$scratch/swap" >"$failure_log" 2>&1 || fail "mkswap"
swapon "$scratch/swap" 2>"$failure_log" || skip "no swap can be had here: $(cat "$failure_log")"
bash "$(dirname "$0")/compare.sh" "$1"
status=$?
swapoff "$scratch/swap" || fail "swapoff"
exit $status
