# A user makes segments and IPC namespaces until it gets no more. What others have still works, and
# they can still make segments; what is given back comes back.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
need python3 python3
need setpriv util-linux
[ -z "${SHMVISOR_SANITIZED:-}" ] || skip "a sanitizer's runtime needs descriptors, to look at the types of objects"

for limit in 64 100 400; do
  heading "with $limit descriptors"
  (ulimit -n "$limit" && exec timeout --kill-after=10 120 "$SHMVISOR" run -v --no-linger -- \
    python3 "$(dirname "$0")/full_descriptors.py") >"$scratch/out" 2>"$scratch/log" </dev/null ||
    fail "$(cat "$scratch/out")"
  cat "$scratch/out"
  lines=$(wc -l <"$scratch/log")
  [ "$lines" -lt 60 ] || fail "$lines lines in the log"
  grep -q 'user 65534 has .* descriptors.* and gets no more' "$scratch/log" || fail "the log does not say who has its share"
done
assert_kernel_table_empty
