#!/bin/bash
# What `check` finds is what this kernel has, and where it says that shmvisor can run, a command attaches.
. /integration/lib.sh || exit 1
enter_namespaces "$@"
make_scratch
cd "$scratch" || fail cd

# at_least VERSION: whether this kernel is that, or later.
at_least() { printf '%s\n' "$1" "$(uname -r | grep -oE '^[0-9]+\.[0-9]+')" | sort -C -V; }

# Some processors have no code for these, or got the kernel's part of it later, if at all.
of_processor=5.10
later=
[ "$(uname -m)" = x86_64 ] || { of_processor=99.0 && later=user-dispatch-config; }

for who in '' as_user; do
  $who "$SHMVISOR" check >found 2>err || fail "$who: check says that shmvisor cannot run: $(cat found err)"
  assert_silent err
  while read -r feature since; do
    [ "$feature" != "$later" ] || continue
    wanted=no
    at_least "$since" && wanted=yes
    expect "$who: $feature, of Linux $since" "$wanted" "$(sed -nE "s/^$feature +(yes|no).*/\1/p" found)"
  done <<END
addfd-send 5.14
wait-killable-recv 5.19
noexec-seal 6.3
user-dispatch-config 6.4
cachestat 6.5
sync-wake-up 6.6
pidfd-thread 6.9
procmap-query 6.11
pidfd-get-info 6.13
listener 5.10
addfd 5.10
ptrace 5.10
call-page $of_processor
call-sites $of_processor
memfd-lease 5.10
inotify 5.10
userns-proc-fuse 5.10
END
  $who timeout 60 "$SHMVISOR" run -- /programs/command_attach_once >out 2>err || fail "$who: no attach: $(cat out err)"
  expect "$who: attach" "ok" "$(sed -n 's/^shmat = //p' out)"
  assert_silent err
done
