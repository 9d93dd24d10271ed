# The Debian 12 packages that shmvisor is built from and tested with; sourced by quickstart.sh and
# tests/run.sh. install_packages LIST_NAME... installs what is missing of the lists named.

packages_build='g++ cmake ninja-build pkg-config libseccomp-dev libcap-dev libfuse3-dev libspdlog-dev libcli11-dev
  nlohmann-json3-dev libtomlplusplus-dev libhttp-parser-dev zlib1g-dev libncurses-dev libgtest-dev'
packages_demonstration='util-linux perl python3 python3-sysv-ipc postgresql'
packages_tests='util-linux procps perl python3 python3-sysv-ipc postgresql stress-ng php-cli xvfb x11-apps
  gnuplot-nox bubblewrap strace gdb podman crun runc systemd busybox-static musl-tools binutils libcap2-bin g++-multilib clang llvm clang-format shellcheck tini dumb-init
  qemu-system-x86 qemu-system-arm lld flex bison bc libelf-dev xz-utils bsdextrautils zsh bash-completion man-db groff-base
  dpkg-dev lintian mmdebstrap python3-yaml tmux'

install_packages() {
  local list package missing=()
  for list in "$@"; do
    local name=packages_$list
    for package in ${!name}; do
      dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
    done
  done
  if [ ${#missing[@]} = 0 ]; then
    echo "-- all packages are there"
    return 0
  fi
  if [ "$(id -u)" != 0 ]; then
    echo "These packages are missing, and only root can install them: ${missing[*]}" >&2
    return 1
  fi
  echo "-- installing ${missing[*]}"
  local log
  log=$(mktemp)
  # A cluster that the database's package would start by itself is none of ours.
  if ! {
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update &&
      { [ -e /etc/postgresql-common/createcluster.conf ] || {
        mkdir -p /etc/postgresql-common &&
          echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
      }; } &&
      apt-get -qq -y --no-install-recommends -o Dpkg::Options::=--force-confold install "${missing[@]}"
  } >"$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    echo "The packages could not be installed; apt-get's last lines are above." >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}
