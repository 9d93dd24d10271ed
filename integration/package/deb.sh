#!/bin/bash
# deb.sh BUILD_FOLDER CPACK: the Debian package: what lintian says of it, and that it is installed, works and is removed
# on a bare Debian 12.
. "$(dirname "$0")/lib.sh" || exit 1
build_folder=$1
cpack=$2
need dpkg-shlibdeps dpkg-dev
need lintian lintian
[ -z "${SHMVISOR_SANITIZED:-}" ] || skip "a sanitized program is not packaged"
make_scratch
"$cpack" -G DEB --config "$build_folder/CPackConfig.cmake" -B "$scratch/cpack" >"$scratch/log" 2>&1 || fail "cpack: status $?"
mapfile -t packages < <(find "$scratch/cpack" -maxdepth 1 -name '*.deb')
expect "packages" 1 "${#packages[@]}"
package=${packages[0]}
version=$("$SHMVISOR" --version)
expect "its name" "shmvisor_${version#shmvisor }-1_$(dpkg --print-architecture).deb" "$(basename "$package")"
expect "size below 8 MiB" yes "$([ "$(dpkg-deb --field "$package" Installed-Size)" -lt 8192 ] && echo yes || echo no)"

heading "lintian"
lintian --allow-root --fail-on error --tag-display-limit 0 "$package" >"$scratch/lintian" 2>&1
status=$?
cat "$scratch/lintian"
expect "status of lintian" 0 "$status"
! grep -q '^[EW]: ' "$scratch/lintian" || [ "$(grep '^[EW]: ' "$scratch/lintian" | grep -cvE 'initial-upload-closes-no-bugs|shared-library-lacks-prerequisites')" = 0 ] ||
  fail "lintian has a new complaint"

heading "a bare Debian 12"
need_root
need mmdebstrap mmdebstrap
# Fetched once for a build folder: that takes a minute.
base=$build_folder/bare_debian_12.tar
if [ ! -s "$base" ]; then
  timeout --kill-after=10 400 mmdebstrap --mode=root --variant=essential --dpkgopt=force-unsafe-io \
    --aptopt='Acquire::Languages "none"' bookworm "$scratch/base.tar" >"$scratch/log" 2>&1 ||
    skip "the base system cannot be fetched: $(grep -m 1 -E '^(E:|Err:)' "$scratch/log")"
  mv "$scratch/base.tar" "$base" || fail mv
fi
root=$scratch/root
mkdir "$root" && tar -C "$root" -xpf "$base" || fail tar
cp "$package" "$root/shmvisor.deb"
# Where the kernel itself refuses every segment.
cat >"$root/session" <<'END'
set -eu
echo 0 >/proc/sys/kernel/shmmni
export DEBIAN_FRONTEND=noninteractive
find / -xdev | sort >/before
dpkg --install /shmvisor.deb
dpkg --verify shmvisor
dpkg --status shmvisor | grep '^Status:'
shmvisor --version
shmvisor check >/checked || { cat /checked; exit 1; }
shmvisor run --report=/report -- sh -c 'ipcmk -M 4096 && ipcmk -M 8192'
grep '^shmget ' /report | tr -s ' '
dpkg --purge shmvisor
rm /report /checked
find / -xdev ! -path '/var/lib/dpkg/*' | sort >/after
diff /before /after | grep '^[<>]' | grep -vxE '[<>] /(before|after|var/lib/dpkg/.*|var/log/.*)' || echo nothing is left
END
timeout --kill-after=10 100 unshare --ipc --pid --fork --kill-child --mount-proc="$root/proc" \
  chroot "$root" /bin/sh /session >"$scratch/out" 2>"$scratch/log" ||
  fail "the session: status $?: $(cat "$scratch/out")"
cat "$scratch/out"
for line in 'Status: install ok installed' "$version" 'Shared memory id: 0' 'Shared memory id: 1' 'shmget 2 0' 'nothing is left'; do
  grep -qxF "$line" "$scratch/out" || fail "no line '$line'"
done
