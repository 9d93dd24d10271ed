#!/bin/bash
# systemd.sh AGENT_UNITS FAKE_RUNTIME SEGMENT: the recipe's unit and those of the agent (in the folder AGENT_UNITS), under
# a systemd of their own, which is PID 1 of a container: checked, started, used, and stopped.
. "$(dirname "$0")/lib.sh" || exit 1
agent_units=$1
[ -x /lib/systemd/systemd ] || skip "systemd is missing (Debian package systemd)"
make_container_scratch
root=$scratch/root
mkdir -p "$root"/{usr,etc/systemd/system,proc,sys,dev,run,tmp,var,root,home} "$scratch"/{bin,out} || fail mkdir
for folder in bin lib lib64 sbin; do ln -s "usr/$folder" "$root/$folder"; done
echo 'root:x:0:0:root:/:/bin/sh
nobody:x:65534:65534::/:/bin/sh' >"$root/etc/passwd"
echo 'root:x:0:
nogroup:x:65534:' >"$root/etc/group"
: >"$root/etc/machine-id"
install -m 755 "$(dirname "$0")/server" "$2" "$3" "$scratch/bin/" || fail install
strip -o "$scratch/bin/shmvisor" "$SHMVISOR_STATIC" || fail strip
units=$root/etc/systemd/system
cp "$agent_units"/shmvisor-agent.* "$units/" || fail cp
recipe ini 'ExecStart=' >"$units/server.service"

# What starts the units, looks at them, and ends it all.
cat >"$units/session.service" <<'END'
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
ExecStart=/bin/bash /out/session
StandardOutput=file:/out/session.log
StandardError=inherit
ExecStopPost=/bin/systemctl --no-block --force exit
END
mkdir "$units/server.service.d"
cat >"$units/server.service.d/test.conf" <<'END'
[Unit]
DefaultDependencies=no
[Service]
Type=notify
NotifyAccess=all
ExecStart=
ExecStart=/usr/local/bin/shmvisor run --shmmax 64M -- /usr/local/bin/server --wait
StandardOutput=file:/out/server.log
StandardError=inherit
END
for unit in service socket; do
  mkdir "$units/shmvisor-agent.$unit.d"
  printf '[Unit]\nDefaultDependencies=no\n' >"$units/shmvisor-agent.$unit.d/test.conf"
done
printf '[Service]\nStandardError=file:/out/agent.log\n' >>"$units/shmvisor-agent.service.d/test.conf"
cat >"$scratch/out/session" <<'END'
until_logged() {
  for _ in {1..600}; do
    grep -qsx "$1" /out/server.log && return
    sleep 0.1
  done
}
show() { echo "$1: $(systemctl show --property ActiveState,Result,ExecMainStatus --value "$1" | tr '\n' ' ')"; }
systemctl start server.service
until_logged ready
show server.service
systemctl stop server.service
show server.service
systemctl start shmvisor-agent.socket shmvisor-agent.service
show shmvisor-agent.service
stat -c '%F, mode %a' /run/shmvisor /run/shmvisor/agent.sock
# A container of it, with all that the unit forbids the agent.
agent_fake_runtime /run/shmvisor/agent.sock one shmmni=7 5 && echo five rounds
agent_fake_runtime /run/shmvisor/agent.sock two shmmni=7 -- agent_segment hold 5 text >/out/held &
for _ in {1..600}; do
  grep -qsx held /out/held && break
  sleep 0.1
done
shmvisor limits --name agent --registry two | grep '^max number of segments'
shmvisor maps --name agent --registry two | tail -n +2 | wc -l
main=$(systemctl show --property MainPID --value shmvisor-agent.service)
grep -h ^Seccomp: "/proc/$main/status"
# The process that serves dies; another one takes over.
for child in $(cat "/proc/$main/task/$main/children"); do
  grep -qx shmvisor-server "/proc/$child/comm" && kill -KILL "$child"
done
agent_fake_runtime /run/shmvisor/agent.sock three shmmni=7 2 && echo two rounds
shmvisor maps --name agent --registry two | tail -n +2 | wc -l
systemctl reload shmvisor-agent.service && echo reloaded
agent_fake_runtime /run/shmvisor/agent.sock four shmmni=7 3 && echo three rounds
shmvisor maps --name agent --registry two | tail -n +2 | wc -l
show shmvisor-agent.service
systemctl stop shmvisor-agent.service 2>/out/warning
stat -c '%F, mode %a' /run/shmvisor/agent.sock
ls /run/shmvisor
systemctl stop shmvisor-agent.socket
show shmvisor-agent.service
END

# boot [OPTION...] COMMAND...: not --privileged, with which systemd would raise limits of the whole machine.
boot() {
  # shellcheck disable=SC2086
  container $closed --cap-add ALL --security-opt seccomp=unconfined --name "shmvisor-systemd-$$" --volume /usr:/usr:ro --volume "$scratch/bin:/usr/local/bin:ro" \
    --volume "$scratch/out:/out" "$@"
}
heading "systemd-analyze verify"
boot --rootfs "$root" /bin/systemd-analyze verify --man=no \
  /etc/systemd/system/{server.service,shmvisor-agent.service,shmvisor-agent.socket} >"$scratch/log" 2>&1 ||
  fail "status $?"
assert_silent "$scratch/log"

heading "under systemd"
boot --systemd=always --rootfs "$root" /lib/systemd/systemd --unit=session.service --log-target=console \
  >"$scratch/log" 2>&1
[ -s "$scratch/out/session.log" ] || skip "no systemd runs in a container here: $(tail -n 1 "$scratch/log")"
diff -u - "$scratch/out/session.log" <<'END' || fail "the units did something else: $(cat "$scratch/out/server.log")"
server.service: success 0 active 
server.service: success 0 inactive 
shmvisor-agent.service: success 0 active 
directory, mode 700
socket, mode 600
five rounds
max number of segments = 7
1
Seccomp:	2
two rounds
1
reloaded
three rounds
1
shmvisor-agent.service: success 0 active 
socket, mode 600
agent.sock
shmvisor-agent.service: success 0 inactive 
END
diff -u - "$scratch/out/server.log" <<'END' || fail "the server says something else"
below shmvisor
uid 0: no
capabilities 0000000000000000 0000000000000000 no_new_privs 1
ready
told to end
removed
END
# Of SIGHUP it may say that there is no configuration, unless it is replaced first.
sed 's/^shmvisor[^ ]* //; /SIGHUP: there is nothing/d' "$scratch/out/agent.log" | diff -u - <(
  echo 'warning: the server was ended by signal 9: another one goes on'
  echo 'warning: upgrade: /usr/local/bin/shmvisor takes over'
  echo 'warning: 1 container loses service: its shared memory calls fail with ENOSYS'
) ||
  fail "the agent says something else: $(cat "$scratch/out/agent.log")"
