# Packages of Debian that are fetched, and not installed: from the mirror that this machine's apt uses, with an apt
# configuration and lists of their own below $cache. Sourced after $debian_architecture and $cache are set: the
# architecture in Debian's words, amd64 or arm64.

# The archive from which this machine's apt has its own Debian packages.
debian_mirror() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -E '/debian/?$' | head -n 1
}

# Prints the reason why nothing can be fetched, if there is one.
why_no_private_apt() {
  if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
    echo "there is no apt here"
  elif [ -z "$(debian_mirror)" ]; then
    echo "apt has no mirror of Debian here"
  fi
}

private_apt_folder() { echo "$cache/apt-$1-$debian_architecture"; }

# make_private_apt SUITE: what private_apt needs.
make_private_apt() {
  local state
  state=$(private_apt_folder "$1")
  mkdir -p "$state/lists/partial" "$state/cache/archives/partial" || return 1
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg arch=$debian_architecture] $(debian_mirror) $1 main" \
    >"$state/sources.list"
}

remove_private_apt() { rm -r "$(private_apt_folder "$1")"; }

# private_apt PROGRAM SUITE ARG...: apt-get or apt-cache, which know that suite alone, and no installed package.
private_apt() {
  local program=$1 state
  state=$(private_apt_folder "$2")
  shift 2
  "$program" -q -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State::lists="$state/lists" -o Dir::State::status=/dev/null -o Dir::Cache="$state/cache" \
    -o APT::Architecture="$debian_architecture" -o APT::Architectures="$debian_architecture" \
    -o Debug::NoLocking=true -o APT::Sandbox::User= -o Acquire::Languages=none \
    -o Acquire::Retries=2 -o Acquire::http::Timeout=20 "$@"
}

# fetch_unpacked SUITE FOLDER PACKAGE...: these and all that they depend on, unpacked there.
fetch_unpacked() {
  local suite=$1 folder=$2 package
  shift 2
  make_private_apt "$suite" && private_apt apt-get "$suite" update || return 1
  private_apt apt-get "$suite" -y --no-install-recommends --download-only install "$@" || return 1
  for package in "$(private_apt_folder "$suite")"/cache/archives/*.deb; do
    dpkg -x "$package" "$folder" || return 1
  done
  remove_private_apt "$suite"
}
