# Debian's kernels; sourced by run.sh after debian.sh. They are unpacked below $cache.

# The suite that a name stands for: KERNEL, aarch64-KERNEL or aarch64-KERNEL-16k.
suite_of() {
  local kernel=${1#aarch64-}
  [ "$kernel" = "$1" ] || kernel=${kernel%-16k}
  case $kernel in
    5.10) echo bullseye ;;
    6.1) echo bookworm ;;
    6.12) echo trixie ;;
    newest) echo sid ;;
    *) return 1 ;;
  esac
}

# The architecture, in Debian's words, of a machine of that name.
architecture_of() {
  case $1 in
    aarch64-*) echo arm64 ;;
    *) echo amd64 ;;
  esac
}

# The package that depends on the newest kernel of that name: the one for virtual machines, but where Debian makes
# none with such pages.
meta_package_of() {
  case $1 in
    aarch64-*-16k) echo linux-image-arm64-16k ;;
    *) echo "linux-image-cloud-$debian_architecture" ;;
  esac
}

# Depends of a package whose names match: dependencies SUITE PACKAGE PATTERN
dependencies() {
  private_apt apt-cache "$1" depends "$2" | sed -n 's/^ *Depends: //p' | grep -Ex "$3"
}

# fetch_packages SUITE META FOLDER: the packages of the suite's kernel that META depends on, which since Linux 7 is in
# more than one.
fetch_packages() {
  local suite=$1 meta=$2 image
  private_apt apt-get "$suite" update || return 1
  image=$(dependencies "$suite" "$meta" 'linux-image-[0-9].*' | head -n 1)
  [ -n "$image" ] || { echo "E: $meta names no kernel" && return 1; }
  # shellcheck disable=SC2046
  (cd "$3" && private_apt apt-get "$suite" download "$image" \
    $(dependencies "$suite" "$image" 'linux-(binary|modules)-[0-9].*'))
}

# unpack_kernel PACKAGES FOLDER: keeps what a machine needs.
unpack_kernel() {
  local package module
  mkdir -p "$2/modules" "$1/unpacked" || return 1
  for package in "$1"/*.deb; do dpkg -x "$package" "$1/unpacked" || return 1; done
  find "$1/unpacked" -name 'vmlinuz*' -type f -exec cp {} "$2/vmlinuz" \;
  # Debian has FUSE as a module.
  while read -r module; do
    case $module in
      *.xz) xz -dc "$module" >"$2/modules/fuse.ko" || return 1 ;;
      *) cp "$module" "$2/modules" || return 1 ;;
    esac
  done < <(find "$1/unpacked" -name 'fuse.ko*')
  [ -s "$2/vmlinuz" ] || { echo "E: there is no kernel in $(ls "$1")" && return 1; }
}

# fetch_kernel NAME: $kernel has vmlinuz and modules; or false, and the reason is in $no_kernel.
fetch_kernel() {
  local name=$1 suite log=$cache/fetch-$1.log fetched=$cache/kernel-$1.part
  kernel=$cache/kernel-$name
  debian_architecture=$(architecture_of "$name")
  [ ! -e "$kernel" ] || return 0
  suite=$(suite_of "$name") || { no_kernel="there is no machine of that name" && return 1; }
  no_kernel=$(why_no_private_apt)
  [ -z "$no_kernel" ] || return 1
  rm -rf "$fetched"
  mkdir -p "$fetched/packages" "$fetched/kernel" && make_private_apt "$suite"
  if ! {
    fetch_packages "$suite" "$(meta_package_of "$name")" "$fetched/packages" &&
      unpack_kernel "$fetched/packages" "$fetched/kernel"
  } >"$log" 2>&1; then
    no_kernel="not fetched from $suite: $(grep -E '^[EW]:' "$log" | head -n 1)"
    return 1
  fi
  mv "$fetched/kernel" "$kernel" && rm -r "$fetched" && remove_private_apt "$suite"
}
