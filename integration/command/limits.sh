#!/bin/bash
# --shmmax (bytes), --shmall (pages) and --shmmni, as the sysctls of the same names.
. "$(dirname "$0")/../lib.sh" || exit 1
programs=$1
enter_namespaces "$@"
make_scratch

# prints WANTED COUNT SIZE OPTION...
prints() {
  local wanted=$1 count=$2 size=$3
  shift 3
  got=$(timeout --kill-after=10 60 "$SHMVISOR" run "$@" -- "$programs/command_print_limits" "$count" "$size" 2>&1 </dev/null)
  expect "$* with $count segments of $size" "$wanted" "$got"
}
max=18446744073692774399

prints "shmmax $max shmall $max shmmni 4096 shmmin 1
made 3: all" 3 4096
prints "shmmax 8192 shmall $max shmmni 4096 shmmin 1
made 3: all" 3 8192 --shmmax 8192
prints "shmmax 8192 shmall $max shmmni 4096 shmmin 1
made 0: EINVAL" 3 8193 --shmmax 8K
prints "shmmax $max shmall $max shmmni 2 shmmin 1
made 2: ENOSPC" 3 1 --shmmni 2
prints "shmmax $max shmall 5 shmmni 4096 shmmin 1
made 2: ENOSPC" 3 8192 --shmall 5
prints "shmmax 3145728 shmall 1024 shmmni 4096 shmmin 1
made 1: all" 1 1 --shmmax=3M --shmall=1K
prints "shmmax 2147483648 shmall $max shmmni 4096 shmmin 1
made 1: all" 1 1 --shmmax 2G
prints "shmmax $max shmall $max shmmni 0 shmmin 1
made 0: ENOSPC" 1 1 --shmmni 0
assert_kernel_table_empty
