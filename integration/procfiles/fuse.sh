# What the tests of the files in /proc share; sourced behind lib.sh.

# Skips where root cannot mount FUSE here at all.
need_fuse() {
  [ -c /dev/fuse ] || skip "there is no /dev/fuse"
  true 2>/dev/null <>/dev/fuse || skip "/dev/fuse cannot be opened"
  "$SHMVISOR" run --proc=fuse -- true 2>"$scratch/probe" || skip "no FUSE mount here: $(cat "$scratch/probe")"
}

# Lets everybody open /dev/fuse, as distributions do; in this script's own mount namespace.
open_dev_fuse_to_all() {
  mkdir "$scratch/dev" && mount -t tmpfs -o mode=755 tmpfs "$scratch/dev" || fail "mount of a tmpfs"
  trap 'umount -l "$scratch/dev"; rm -rf --one-file-system "$scratch"' EXIT
  mknod -m 666 "$scratch/dev/fuse" c 10 229 || skip "mknod is refused here"
  mount --bind "$scratch/dev/fuse" /dev/fuse || fail "bind mount"
  as_user true 2>/dev/null <>/dev/fuse || skip "device files do not work in $scratch"
}

# Skips where an ordinary user may not make a user namespace.
need_user_namespaces() {
  as_user unshare --user true 2>"$scratch/probe" || skip "no user namespaces for ordinary users: $(cat "$scratch/probe")"
}
