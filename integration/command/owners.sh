#!/bin/bash
# The capabilities of a user namespace count where it owns the IPC namespace, and nowhere else: natively beside supervised.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
copy_shmvisor_to_scratch
need /usr/bin/python3 python3
as_user unshare --user --map-root-user --mount true 2>/dev/null || skip "an ordinary user may make no user namespace here"

# To whom does a segment that grants nothing let itself be attached? To who has CAP_IPC_OWNER over it.
cat >"$scratch/attach.py" <<'END'
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
made = libc.shmget(0, ctypes.c_size_t(4096), 0o1000)
assert made >= 0, os.strerror(ctypes.get_errno())
attached = libc.shmat(made, None, 0) != ctypes.c_void_p(-1).value
print("attached" if attached else errno.errorcode[ctypes.get_errno()])
libc.shmctl(made, 0, None)
END
chmod 644 "$scratch/attach.py"
attach="/usr/bin/python3 $scratch/attach.py"
in_users='unshare --user --map-root-user --mount'
# Natively segments are made in an IPC namespace of their own: in the test's own none may be.
native() { unshare --ipc bash -c '. "$0"; as_user "$@"' "$(dirname "$0")/../lib.sh" "$@" 2>>"$scratch/log"; }
supervised_by() { as_user timeout --kill-after=10 60 "$SHMVISOR" run "$@" 2>>"$scratch/log"; }

heading "a user namespace within"
# shellcheck disable=SC2086
expect "it owns nothing" "$(native $in_users $attach)" "$(supervised_by -- $in_users $attach)"
heading "one with an IPC namespace of its own"
# shellcheck disable=SC2086
expect "that is its own" "$(native $in_users --ipc $attach)" "$(supervised_by -- $in_users --ipc $attach)"
heading "--userns"
# ThreadSanitizer keeps a thread of its own, beside which no user namespace can be made.
if [[ ${SHMVISOR_SANITIZED:-} != *thread* ]]; then
  # shellcheck disable=SC2086
  expect "without capabilities" "$(native $attach)" "$(supervised_by --userns -- $attach)"
  # shellcheck disable=SC2086
  expect "the run's IPC namespace stays whose it was" "$(native $in_users $in_users $attach)" \
    "$(supervised_by --userns -- $in_users $attach)"
fi
heading "a run that begins in one that owns its IPC namespace"
# shellcheck disable=SC2086
inside=$(as_user $in_users --ipc timeout --kill-after=10 60 "$SHMVISOR" run -- $attach 2>>"$scratch/log")
# shellcheck disable=SC2086
expect "root of that run" "$(native $in_users --ipc $attach)" "$inside"
expect "natively" "attached" "$inside"
# shellcheck disable=SC2086
expect "natively" "EACCES" "$(native $in_users $attach)"
assert_kernel_table_empty
