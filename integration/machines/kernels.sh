# Debian's kernels; sourced by run.sh. They are fetched from the mirror that this machine's apt uses, with an
# apt configuration and lists of their own, and unpacked below $cache. Nothing is installed.

# The suite that a name stands for.
suite_of() {
  case $1 in
    5.10) echo bullseye ;;
    6.1) echo bookworm ;;
    6.12) echo trixie ;;
    newest) echo sid ;;
    *) return 1 ;;
  esac
}

# The archive from which this machine's apt has its own Debian packages.
debian_mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -E '/debian/?$' | head -n 1
}

# private_apt PROGRAM SUITE ARG...: apt-get or apt-cache, which know that suite alone.
private_apt() {
  local program=$1 state=$cache/apt-$2
  shift 2
  "$program" -q -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State::lists="$state/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$state/cache" \
    -o Debug::NoLocking=true -o APT::Sandbox::User= -o Acquire::Languages=none \
    -o Acquire::Retries=2 -o Acquire::http::Timeout=20 "$@"
}

# Depends of a package whose names match: dependencies SUITE PACKAGE PATTERN
dependencies() {
  private_apt apt-cache "$1" depends "$2" | sed -n 's/^ *Depends: //p' | grep -Ex "$3"
}

# fetch_packages SUITE FOLDER: the packages of the suite's kernel for virtual machines, which since Linux 7 is in
# more than one.
fetch_packages() {
  local suite=$1 image
  private_apt apt-get "$suite" update || return 1
  image=$(dependencies "$suite" linux-image-cloud-amd64 'linux-image-[0-9].*' | head -n 1)
  [ -n "$image" ] || { echo "E: linux-image-cloud-amd64 names no kernel" && return 1; }
  # shellcheck disable=SC2046
  (cd "$2" && private_apt apt-get "$suite" download "$image" \
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
  local name=$1 suite mirror state log=$cache/fetch-$1.log fetched=$cache/kernel-$1.part
  kernel=$cache/kernel-$name
  [ ! -e "$kernel" ] || return 0
  suite=$(suite_of "$name") || { no_kernel="there is no machine of that name" && return 1; }
  if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
    no_kernel="there is no apt here" && return 1
  fi
  mirror=$(debian_mirror)
  [ -n "$mirror" ] || { no_kernel="apt has no mirror of Debian here" && return 1; }
  state=$cache/apt-$suite
  rm -rf "$fetched"
  mkdir -p "$fetched/packages" "$fetched/kernel" "$state/lists/partial" "$state/cache/archives/partial"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg arch=amd64] $mirror $suite main" \
    >"$state/sources.list"
  if ! { fetch_packages "$suite" "$fetched/packages" && unpack_kernel "$fetched/packages" "$fetched/kernel"; } \
    >"$log" 2>&1; then
    no_kernel="not fetched from $suite: $(grep -E '^[EW]:' "$log" | head -n 1)"
    return 1
  fi
  mv "$fetched/kernel" "$kernel" && rm -r "$fetched" "$state"
}
