#!/bin/bash
# What counts or shows pages does so by the pages of this kernel: segments, totals and limits, as natively, and the
# page for browsers.
. /integration/lib.sh || exit 1
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd
export XDG_RUNTIME_DIR=$scratch
page=$(($(sed -n 's/^KernelPageSize: *\([0-9]*\) kB/\1/p' /proc/self/smaps | head -n 1) * 1024))
[ "$page" -ge 4096 ] || fail "KernelPageSize: $page"

cat >segments <<END
for size in 1 4096 4097 $page $((page + 1)) 65536; do ipcmk -M \$size >/dev/null || exit 1; done
ipcs -m -u
ipcs -m -l
END
unshare --ipc bash segments >native 2>&1
"$SHMVISOR" run -- bash segments >supervised 2>&1
diff -u native supervised || fail "totals and limits differ"
grep -q '^pages allocated' native || fail "ipcs -u: $(cat native)"

# events: the first state that the page for browsers gets.
events() {
  local address=$1 line
  exec 5<>"/dev/tcp/${address/://}" || return 1
  printf 'GET /events HTTP/1.1\r\nHost: %s\r\n\r\n' "$address" >&5
  while read -r -t 30 line <&5; do
    case $line in data:*) echo "$line" && return ;; esac
  done
  return 1
}

"$SHMVISOR" run --name pages -- bash -c 'ipcmk -M 1 >ready; while [ ! -e over ]; do sleep 0.1; done' 2>run_log &
run=$!
wait_until 20 test -s ready || fail "no segment"
"$SHMVISOR" web --name pages --listen 127.0.0.1:0 >url 2>log &
web=$!
wait_until 20 grep -q 'is shown at' url || fail "web does not listen"
events "$(sed -n 's|.*http://\([0-9.:]*\).*|\1|p' url)" >state || fail "no state: $(cat url log)"
expect "page_bytes" "$page" "$(grep -o '"page_bytes":[0-9]*' state | cut -d : -f 2)"
kill $web
touch over
wait $run || fail "the run: $(cat run_log)"
echo "pages of $page bytes"
