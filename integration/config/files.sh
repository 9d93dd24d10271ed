#!/bin/bash
# Options from a configuration file: what wins over what, what is shown of it, and that a bad file starts nothing.
. "$(dirname "$0")/../lib.sh" || exit 1
enter_namespaces "$@"
make_scratch
. "$(dirname "$0")/../control/lib.sh" || exit 1
need ipcs util-linux
example=$(dirname "$(readlink -f "$0")")/../../supervisor/config/example.toml
cd "$scratch" || fail cd

# limits OPTION...: shmmni, and shmmax in KiB, that a run sees.
limits() {
  timeout --kill-after=10 60 "$SHMVISOR" run "$@" -- ipcs -lm 2>err |
    awk '/max number/ { number = $NF } /max seg/ { size = $NF } END { print number, size }'
}

heading "what wins"
mkdir main.toml.d
cat >main.toml <<'EOS'
[limits]
shmmni = 11
shmmax = "1M"
[run]
log-level = "off"
EOS
expect "the file" "11 1024" "$(limits --config main.toml)"
printf '[limits]\nshmmni = 12\n' >main.toml.d/10.toml
expect "a drop-in over the file" "12 1024" "$(limits --config main.toml)"
expect "the environment over the file" "13 1024" "$(SHMVISOR_SHMMNI=13 limits --config main.toml)"
expect "the command line over all" "14 2048" "$(SHMVISOR_SHMMNI=13 limits --config main.toml --shmmni 14 --shmmax 2M)"
expect "the file's name from the environment" "12 1024" "$(SHMVISOR_CONFIG=main.toml limits)"
printf '[run]\nserve = "socket"\n' >serves.toml
"$SHMVISOR" run --config serves.toml -- sh -c 'ipcmk -M 4096 >made; while [ ! -e go ]; do sleep 0.05; done' &
server=$!
wait_until 30 test -s made || fail "no segment"
# What does not go with --join is left out; and so is an option of the file that serves.
timeout 60 "$SHMVISOR" run --config main.toml --join socket -- ipcrm -m 0 2>err || fail "it does not join: $(cat err)"
timeout 60 "$SHMVISOR" run --config serves.toml --join socket -- true 2>err || fail "it does not join: $(cat err)"
touch go
wait "$server" || fail "the server: $?"

heading "check and show"
expect "the example" "$example: good" "$(client config check "$example")"
client config show agent --config "$example" >shown || fail "config show agent: $(cat shown)"
grep -qE "^socket = \"/run/shmvisor/agent.sock\" +# .*example.toml:[0-9]+:1$" shown || fail "no socket: $(cat shown)"
SHMVISOR_SHMMNI=13 client config show run --config main.toml --shmmax 5K -- command --shmall 7 >shown || fail "config show"
grep -qE '^shmmax = "5K" +# option$' shown || fail "not the option: $(cat shown)"
grep -qE '^shmall = "18446744073692774399" +# default$' shown || fail "not the default: $(cat shown)"
grep -qE '^shmmni = "13" +# environment: SHMVISOR_SHMMNI$' shown || fail "not the environment: $(cat shown)"
grep -qE '^log-level = "off" +# main.toml:5:1$' shown || fail "not the file: $(cat shown)"
client config show --config main.toml | grep -qE '^shmmni = "12" +# main.toml.d/10.toml:2:1$' || fail "not the drop-in"
# What is shown is a configuration itself, and says the same.
client config show --config "$example" >again.toml || fail "config show"
expect "what was shown" "again.toml: good" "$(client config check again.toml)"
values() { sed 's/ *#.*//' | grep .; }
expect "shown again" "$(client config show --config "$example" | values)" "$(client config show --config again.toml | values)"

heading "rules that can never match"
expect "contradictions and shadows" "$(printf '%s\n' \
  "c.toml:6:1: the rule can never match: IPC_INFO and SHM_INFO name no segment, so they have no key" 1 \
  "warning: c.toml:4:1: rule 2 can never match: rule 1 (c.toml:1:1) decides all its calls" "c.toml: good" 0)" "$(
    printf '[[rule]]\ncall = ["shmctl", "shmat"]\naction = "log"\n[[rule]]\ncall = "IPC_INFO"\nkey = 7\naction = "allow"\n' >c.toml
    client config check c.toml 2>&1
    echo $?
    sed -i '/^key/d' c.toml
    client config check c.toml 2>&1
    echo $?
  )"
expect "a run logs it, and serves" "warning: c.toml:4:1: rule 2 can never match: rule 1 (c.toml:1:1) decides all its calls" "$(
  timeout 60 "$SHMVISOR" run --config c.toml -- true 2>&1 | sed 's/^shmvisor\[[0-9]*\]: //')"

heading "bad files"
cat >bad.toml <<'EOS'
[limits]
shmmax = "1G"
shmmin = 1
[run]
populate = true
tracer-wait = "long"
serve = "x"
join-or-serve = "x"
EOS
client config check bad.toml >out 2>err
expect "status" 1 $?
expect "the first line of three" "bad.toml:3:1: there is no key 'shmmin'; did you mean 'shmmni'? (in [limits])" "$(head -n 1 err)"
expect "lines, those of the options' values too" 3 "$(wc -l <err)"
sed -i '/shmmin/d' bad.toml
client config check bad.toml 2>err
grep -q "^bad.toml:5:1: tracer-wait: 'long' is no number from 0 to 3600$" err || fail "tracer-wait: $(cat err)"
grep -q "^bad.toml:7:1: join-or-serve does not go with serve (bad.toml:6:1)$" err || fail "serve: $(cat err)"
expect "lines" 2 "$(wc -l <err)"
for file in bad.toml missing.toml /dev/zero . "$SHMVISOR"; do
  timeout 60 "$SHMVISOR" run --config "$file" -- touch ran 2>err
  expect "status of run --config $file" 125 $?
  grep -q "^shmvisor: $file:" err || fail "$file: $(cat err)"
  [ ! -e ran ] || fail "$file: the command ran"
  timeout 60 "$SHMVISOR" agent --socket agent --config "$file" 2>err
  expect "status of agent --config $file" 125 $?
done
printf '[agent]\nname = "a b"\n' >agent.toml
timeout 60 "$SHMVISOR" run --config agent.toml -- touch ran 2>err
expect "status where the agent's part is bad" 125 $?
grep -q '^shmvisor: agent.toml:2:1: ' err || fail "agent.toml: $(cat err)"
mkfifo fifo
timeout 60 "$SHMVISOR" run --config fifo -- touch ran 2>err
expect "status of a FIFO" 125 $?
head -c 3000000 /dev/zero | tr '\0' a >long.toml
timeout 60 "$SHMVISOR" run --config long.toml -- touch ran 2>err
expect "status of a long line" 125 $?
said 125 "" client config
said 125 "" client config show run --shmmni 99999
assert_kernel_table_empty
