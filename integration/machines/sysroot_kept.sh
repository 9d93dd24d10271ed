#!/bin/bash
# A mirror that fails costs no folder that sysroot.sh has filled before, whatever packages it was of.
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../lib.sh" || exit 1
make_scratch
need apt-get apt
kept=$scratch/shmvisor-machines/sysroot-arm64
mkdir -p "$kept/usr" "$scratch/bin" || fail mkdir

cat >"$scratch/bin/apt-get" <<END
#!/bin/bash
[ "\$1" != indextargets ] || exec $(command -v apt-get) "\$@"
echo "E: this mirror fails"
exit 100
END
chmod 755 "$scratch/bin/apt-get"
for list in none 'another-dev'; do
  [ "$list" = none ] || echo "$list" >"$kept.list"
  PATH=$scratch/bin:$PATH XDG_CACHE_HOME=$scratch bash "$here/sysroot.sh" >"$scratch/out" 2>"$scratch/err"
  expect "list $list: status" 1 $?
  case $(cat "$scratch/err") in
    'there is no apt here' | 'apt has no mirror of Debian here') skip "$(cat "$scratch/err")" ;;
  esac
  expect "list $list: reason" "not fetched from bookworm: E: this mirror fails" "$(cat "$scratch/err")"
  [ -d "$kept/usr" ] || fail "list $list: the folder is gone"
  expect "list $list: folder" "" "$(cat "$scratch/out")"
done
