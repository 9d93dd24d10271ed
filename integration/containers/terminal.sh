#!/bin/bash
# A container with a terminal (-t): the command has the terminal's foreground for itself, keys reach
# it once, and the exit status comes back. And below a shell, where it is asked for.
. "$(dirname "$0")/lib.sh" || exit 1
[ -x /usr/bin/python3 ] || skip "/usr/bin/python3 is missing (Debian package python3)"
make_container_scratch
root=$scratch/root
new_root "$root"
need_containers "$root"

cat >"$root/bin/place" <<'END'
# Who am I, and who has the terminal? pid, ppid, group, session, terminal, foreground group.
read -r pid name state ppid group session terminal foreground rest </proc/self/stat
[ "$pid" = $$ ] && echo "leads its group: $([ "$group" = "$pid" ] && echo yes), foreground: $([ "$foreground" = "$pid" ] && echo yes)"
read -r pid name state ppid group rest </proc/1/stat
echo "PID 1: $name"
END
cat >"$root/bin/keys" <<'END'
n=0
trap 'echo "interrupts: $((n += 1))"' INT
trap 'echo resized' WINCH
trap 'echo terminated; exit 7' TERM
echo ready
while :; do /bin/busybox sleep 1; done
END
timeout --kill-after=10 150 /usr/bin/python3 "$(dirname "$0")/terminal.py" "${podman_command[@]}" \
  run --rm "${run_options[@]}" -i -t --sysctl kernel.shmmni=0 --rootfs "$root" /shmvisor run -- \
  2>"$scratch/log" </dev/null || fail "terminal.py ended with $?"
