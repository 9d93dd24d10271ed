# The machine's only file system; sourced by run.sh. It holds what the tests need and no more.

# Programs of the host that scripts of the tests run, with the libraries that each asks for.
guest_programs='bash cat chmod chown cp cut date diff dirname echo env expr false find grep head id install kill ln ls mkdir mknod
  mktemp mount mv nproc od paste printf ps readlink rm rmdir sed seq setpriv sh sleep sort stat sysctl tail tee test
  timeout touch tr true umount uname unshare wc xargs ipcmk ipcrm ipcs awk prlimit setsid nsenter'

# Programs of oracle/ that a machine runs.
compared_programs='shmget shmat shmdt shmctl memory memory_static permissions identifiers removal registers process_state
  concurrency'

# copy_program ROOT PROGRAM [PLACE]: at the same place, or there.
copy_program() {
  local root=$1 program=$2 place=${3:-$2} library
  install -D -m 755 "$program" "$root$place" || return 1
  # "not a dynamic executable" of a static one, or of a script, is no failure.
  for library in $(ldd "$program" 2>/dev/null | grep -oE '/[^ ]+'); do
    [ -e "$root$library" ] || install -D -m 755 "$library" "$root$library" || return 1
  done
}

# add_programs_of_host ROOT: for machines like this one.
add_programs_of_host() {
  local root=$1 name path
  for name in $guest_programs; do
    path=$(command -v "$name" | grep '^/') || path=$(type -P "$name") || { echo "$name is missing" >&2 && return 1; }
    copy_program "$root" "$(readlink -f "$path")" "/usr/bin/$name" || return 1
  done
  copy_program "$root" "$(command -v busybox)" /usr/bin/busybox
}

# add_unpacked_programs ROOT FOLDER: those of packages of another architecture, with all libraries of theirs.
add_unpacked_programs() {
  local root=$1 unpacked=$2 name path
  for name in $guest_programs busybox; do
    case $name in
      sh) path=$unpacked/bin/bash ;;
      awk) path=$unpacked/usr/bin/gawk ;;
      *) path=$(find "$unpacked"/{,usr/}{bin,sbin} -name "$name" | head -n 1) ;;
    esac
    [ -e "$path" ] || { echo "$name is missing in $unpacked" >&2 && return 1; }
    install -D -m 755 "$path" "$root/usr/bin/$name" || return 1
  done
  cp -a "$unpacked"/lib/* "$root/lib" && cp -a "$unpacked"/usr/lib/*-linux-gnu/*.so* "$root"/lib/*-linux-gnu
}

# record_transcripts FOLDER: what programs of oracle/ print on the kernel of this machine, for kernels without System V
# IPC, which have no shared memory to compare with. None where IPC namespaces cannot be made here.
record_transcripts() {
  local name recorded
  unshare --ipc true 2>/dev/null || return 0
  for name in $compared_programs; do
    recorded=$1/oracle_$name.recorded
    (cd /tmp && timeout --kill-after=10 60 unshare --ipc "$1/oracle_$name" >"$recorded" 2>/dev/null </dev/null)
    tail -n 1 "$recorded" | grep -qx end || rm "$recorded"
  done
}

# make_root ROOT ARCHITECTURE PROGRAM: the part that is the same for all kernels of an architecture, in Debian's
# words, with that shmvisor and the test programs that were built beside it.
make_root() {
  local root=$1 architecture=$2 program=$3 build path
  build=$(dirname "$program")
  mkdir -p "$root"/{proc,sys,dev,tmp,run,root,etc,usr/bin,lib/modules} || return 1
  chmod 755 "$root" && chmod 1777 "$root/tmp" && ln -sfn usr/bin "$root/bin" && ln -sfn usr/bin "$root/sbin" || return 1
  printf 'root:x:0:0::/root:/bin/bash\nuser:x:1000:1000::/tmp:/bin/bash\n' >"$root/etc/passwd"
  printf 'root:x:0:\nuser:x:1000:\n' >"$root/etc/group"
  if [ "$architecture" = amd64 ]; then
    add_programs_of_host "$root" || return 1
  else
    add_unpacked_programs "$root" "$cache/guest-$architecture" || return 1
  fi
  copy_program "$root" "$program" /usr/bin/shmvisor || return 1
  # The tree's own scripts at the same places as in the tree, so that each finds what it sources.
  echo "$compared_programs" >"$root/compared_programs"
  mkdir -p "$root/integration" &&
    cp -r "$integration/lib.sh" "$integration/oracle" "$integration/procfiles" "$integration/machines" "$root/integration" || return 1
  for path in "$build"/integration/oracle/oracle_* "$build/integration/command/command_attach_once" \
    "$build/integration/command/command_call_sites" \
    "$build/tests/caller_stack_test"; do
    [ ! -f "$path" ] || copy_program "$root" "$path" "/programs/${path##*/}" || return 1
  done
  [ "$architecture" != amd64 ] || record_transcripts "$root/programs"
  cp "$integration/machines/guest/init.sh" "$root/init" && chmod 755 "$root/init"
}

# make_initramfs ROOT KERNEL FILE: that folder with the modules of a kernel.
make_initramfs() {
  rm -rf "$1/lib/modules" && cp -r "$2/modules" "$1/lib/modules" || return 1
  (cd "$1" && find . | busybox cpio -o -H newc 2>/dev/null) >"$3"
}
