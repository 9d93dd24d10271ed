#!/bin/bash
# install.sh BUILD_FOLDER CMAKE: what `cmake --install` puts where, and that it is of use there.
. "$(dirname "$0")/lib.sh" || exit 1
build_folder=$1
cmake=$2
make_scratch
prefix=$scratch/usr/local
"$cmake" --install "$build_folder" --prefix "$prefix" >"$scratch/log" 2>&1 || fail "cmake --install: status $?"

heading "places"
(cd "$prefix" && find . -type f ! -path './share/doc/*' -printf '%m %P\n' | sort -k 2) >"$scratch/files"
diff -u - "$scratch/files" <<'END' || fail "other files"
755 bin/shmvisor
644 lib/systemd/system/shmvisor-agent.service
644 lib/systemd/system/shmvisor-agent.socket
644 share/bash-completion/completions/shmvisor
644 share/man/man1/shmvisor.1.gz
644 share/man/man5/shmvisor.toml.5.gz
644 share/zsh/site-functions/_shmvisor
END
expect "documents of another mode" "" "$(find "$prefix/share/doc" -type f ! -perm 644)"
expect "folders that not all may read" "" "$(find "$prefix" -type d ! -perm 755)"

heading "the program"
expect "version" "$("$SHMVISOR" --version)" "$("$prefix/bin/shmvisor" --version)"
"$prefix/bin/shmvisor" completion bash | diff -q - "$prefix/share/bash-completion/completions/shmvisor" ||
  fail "the completion is another program's"

heading "the man page"
if command -v man >/dev/null; then
  page=$(MANPATH=$prefix/share/man man --where shmvisor) || fail "man does not find it"
  expect "its place" "$prefix/share/man/man1/shmvisor.1.gz" "$page"
fi
grep -q "$("$SHMVISOR" --version)" <(zcat "$prefix/share/man/man1/shmvisor.1.gz") || fail "it is of another version"

heading "links of the documents"
documents=$prefix/share/doc/shmvisor
links=0
while IFS=: read -r document link; do
  links=$((links + 1))
  [ -e "$(dirname "$document")/$link" ] || fail "$document has a link to $link, which is not there"
done < <({
  grep -oHE '\]\([^)#:]+' "$documents/README.md"
  grep -roHE '!\[[^]]*\]\([^)#:]+' --include='*.md' "$documents"
} | sed 's/:[^:]*](/:/')
[ $links -ge 4 ] || fail "README has $links links"
