#!/bin/bash
# PHP: variables in sysvshm, bytes in shmop, both seen by a second process.
. "$(dirname "$0")/../lib.sh" || exit 1
need php php-cli
for module in sysvshm shmop; do
  php -m 2>/dev/null | grep -qx "$module" || skip "php has no $module (Debian package php-common)"
done
enter_namespaces "$@"
make_scratch

cat >"$scratch/session.php" <<'END'
<?php
error_reporting(E_ALL & ~E_WARNING);
if ($argc == 2) {
  $variables = shm_attach(0x70687001);
  echo "other process: ", json_encode(shm_get_var($variables, 7)), "\n";
  shm_put_var($variables, 8, "from the other process");
  $bytes = shmop_open(0x70687002, "w", 0, 0);
  echo "other process: ", shmop_read($bytes, 3, 5), " of ", shmop_size($bytes), "\n";
  shmop_write($bytes, "other", 90);
  exit(0);
}
$variables = shm_attach(0x70687001, 20000, 0600);
shm_put_var($variables, 7, ["a" => 1, "b" => [1, 2, 3]]);
$bytes = shmop_open(0x70687002, "n", 0644, 100);
echo "written ", shmop_write($bytes, "hello", 3), "\n";
echo "exclusive: ", var_export(shmop_open(0x70687002, "n", 0644, 100), true), "\n";
passthru(escapeshellarg(PHP_BINARY) . " " . escapeshellarg(__FILE__) . " other", $status);
echo "status $status\n";
echo shm_get_var($variables, 8), "\n";
echo shmop_read($bytes, 90, 5), "\n";
$read_only = shmop_open(0x70687002, "a", 0, 0);
echo "read-only: ", shmop_read($read_only, 3, 5), "\n";
try {
  shmop_write($read_only, "x", 0);
  echo "written\n";
} catch (Error $error) {
  echo "refused\n";
}
echo "removed ", var_export(shm_remove($variables), true), var_export(shmop_delete($bytes), true), "\n";
echo "gone: ", var_export(shmop_open(0x70687002, "a", 0, 0), true), "\n";
END
cat >"$scratch/wanted" <<'END'
written 5
exclusive: false
other process: {"a":1,"b":[1,2,3]}
other process: hello of 100
status 0
from the other process
other
read-only: hello
refused
removed truetrue
gone: false
END
supervised php "$scratch/session.php" >"$scratch/out" 2>"$scratch/err" ||
  fail "status $?: $(cat "$scratch/out" "$scratch/err")"
assert_silent "$scratch/err"
diff -u "$scratch/wanted" "$scratch/out" || fail "unexpected output"
assert_kernel_table_empty
