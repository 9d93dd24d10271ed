#!/bin/bash
# The completions, by pressing TAB in a bash (alone, and with the package bash-completion) and in a zsh.
. "$(dirname "$0")/lib.sh" || exit 1
need python3 python3
enter_namespaces "$@"
make_scratch
for shell in bash zsh; do
  "$SHMVISOR" completion $shell >"$scratch/$shell" || fail "completion $shell: status $?"
done
if command -v shellcheck >/dev/null; then shellcheck -S warning "$scratch/bash" || fail "shellcheck"; fi
# Every option of each help, and nothing else.
bash -c '. "$1"; for subcommand in $(_shmvisor_subcommands); do
  for option in $(_shmvisor_options $subcommand); do echo "$subcommand $option"; done
done' - "$scratch/bash" | grep -e ' --' | sort >"$scratch/completed"
for subcommand in $(subcommands); do
  options_of "$subcommand" | sed "s/^/$subcommand /"
done | sort >"$scratch/helped"
diff -u "$scratch/helped" "$scratch/completed" || fail "the completion of bash has other options than the helps"

mkdir "$scratch/bin" && cp "$SHMVISOR" "$scratch/bin/shmvisor" || fail cp
export XDG_RUNTIME_DIR=$scratch/runtime
mkdir -m 700 "$XDG_RUNTIME_DIR"
PATH=$scratch/bin:$PATH PYTHONDONTWRITEBYTECODE=1 timeout --kill-after=10 100 \
  python3 "$(dirname "$0")/completion.py" "$scratch"
