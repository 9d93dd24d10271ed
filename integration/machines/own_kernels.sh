# Kernels that Debian does not build; sourced by kernels.sh. They are made of Debian's linux-source, with no more than a
# machine needs built in, and kept below $cache: 2 to 6 MB each, and five to fifteen minutes of two processors.

# What shmvisor, its tests, bash and util-linux, and the machine itself want of a kernel.
own_kernel_options='
  64BIT EXPERT PRINTK TTY UNIX98_PTYS SERIAL_8250 SERIAL_8250_CONSOLE PCI BLK_DEV_INITRD DEVTMPFS PROC_FS PROC_SYSCTL
  SYSFS SHMEM TMPFS BINFMT_ELF BINFMT_SCRIPT MULTIUSER POSIX_TIMERS HIGH_RES_TIMERS FUTEX EPOLL SIGNALFD TIMERFD EVENTFD
  FILE_LOCKING INOTIFY_USER FANOTIFY AIO ADVISE_SYSCALLS MEMBARRIER RSEQ KCMP CROSS_MEMORY_ATTACH MEMFD_CREATE
  USERFAULTFD NET UNIX INET SECCOMP SECCOMP_FILTER BPF_SYSCALL FUSE_FS NAMESPACES UTS_NS USER_NS PID_NS NET_NS CGROUPS
  CHECKPOINT_RESTORE PROC_PAGE_MONITOR SECURITY SECURITY_YAMA HUGETLBFS COMPAT_32BIT_TIME'
own_kernel_options_amd64='SMP=n ACPI IA32_EMULATION X86_INTEL_MEMORY_PROTECTION_KEYS'
own_kernel_options_arm64='COMPAT SERIAL_AMBA_PL011 SERIAL_AMBA_PL011_CONSOLE PCI_HOST_GENERIC SERIAL_8250_PCI
  ARM64_TAGGED_ADDR_ABI ARM64_PTR_AUTH ARM64_BTI ARM64_MTE ARM64_SVE'

# own_kernel_differences NAME: what is special about the kernel of that machine; false where Debian has it.
own_kernel_differences() {
  case $1 in
    *-nosysvipc) echo 'SYSVIPC=n POSIX_MQUEUE IPC_NS' ;;
    *-noipcns) echo 'SYSVIPC=n POSIX_MQUEUE=n IPC_NS=n' ;;
    aarch64-*-16k) echo 'SYSVIPC IPC_NS ARM64_16K_PAGES' ;;
    aarch64-*-64k) echo 'SYSVIPC IPC_NS ARM64_64K_PAGES' ;;
    *) return 1 ;;
  esac
}

# write_options FILE OPTION...: as a .config has them.
write_options() {
  local file=$1 option
  shift
  for option in "$@"; do
    case $option in
      *=n) echo "CONFIG_$option" ;;
      *) echo "CONFIG_$option=y" ;;
    esac
  done >"$file"
}

# as_wanted WANTED CONFIG: whether a configuration is as that file has it; otherwise it says why not, as apt does.
as_wanted() {
  local line differs=0
  while read -r line; do
    case $line in
      *=n) ! grep -q "^${line%n}" "$2" ;;
      *) grep -qx "$line" "$2" ;;
    esac || { echo "E: this source does not give $line" && differs=1; }
  done <"$1"
  return $differs
}

# unpack_source SUITE FOLDER: the source of the suite's kernel.
unpack_source() {
  local suite=$1 folder=$2 package
  private_apt apt-get "$suite" update || return 1
  package=$(private_apt apt-cache "$suite" search --names-only '^linux-source-[0-9.]+$' | cut -d ' ' -f 1 | head -n 1)
  [ -n "$package" ] || { echo "E: $suite has no linux-source" && return 1; }
  mkdir -p "$folder.part/packages" || return 1
  (cd "$folder.part/packages" && private_apt apt-get "$suite" download "$package") || return 1
  dpkg -x "$folder".part/packages/linux-source-*.deb "$folder.part/unpacked" &&
    mkdir "$folder.part/source" &&
    tar -xJf "$folder".part/unpacked/usr/src/linux-source-*.tar.xz -C "$folder.part/source" --strip-components=1 &&
    mv "$folder.part/source" "$folder" && rm -r "$folder.part"
}

# build_kernel NAME SUITE FOLDER: as unpack_kernel() leaves one. The unpacked source stays for the next kernel, 1.4 GB.
build_kernel() {
  local name=$1 suite=$2 folder=$3 source=$cache/source-$2 build=$3.build image words tool
  for tool in flex bison bc make gcc clang ld.lld llvm-objcopy; do
    command -v $tool >/dev/null || { echo "E: $tool is missing" && return 1; }
  done
  [ -e "$source" ] || unpack_source "$suite" "$source" || return 1
  case $debian_architecture in
    amd64) image=bzImage words="ARCH=x86_64" ;;
    *) image=Image words="ARCH=arm64 LLVM=1" ;;
  esac
  rm -rf "$build" && mkdir -p "$build" "$folder/modules" || return 1
  local of_architecture=own_kernel_options_$debian_architecture
  # shellcheck disable=SC2046,SC2086
  write_options "$build/wanted" $own_kernel_options ${!of_architecture} $(own_kernel_differences "$name")
  # A name by which `uname -r` tells it from Debian's.
  { cat "$build/wanted" && echo "CONFIG_LOCALVERSION=\"-${name##*-}\""; } >"$build/all"
  # shellcheck disable=SC2086
  KCONFIG_ALLCONFIG=$build/all make -C "$source" O="$build" $words allnoconfig >/dev/null &&
    as_wanted "$build/wanted" "$build/.config" &&
    make -C "$source" O="$build" $words -j "$(nproc)" "$image" >/dev/null &&
    cp "$build"/arch/*/boot/"$image" "$folder/vmlinuz" && rm -rf "$build"
}
