# What the scripts of this folder share: an agent, and how it is looked at. Sourced by each of them,
# behind enter_namespaces and make_scratch.

# start_agent [OPTION...]: at $socket; its pid in $agent, its log in $scratch/agent.log.
start_agent() {
  socket=$scratch/agent.sock
  "$SHMVISOR" agent --socket "$socket" "$@" 2>"$scratch/agent.log" &
  agent=$!
  failure_log=$scratch/agent.log
  wait_until 20 test -S "$socket" || fail "the agent makes no socket"
  # Then it opens whatever else it has as long as it lives.
  wait_until 20 is_waiting || fail "the agent does not wait for anybody: $(cat "/proc/$agent/syscall")"
}
# In ppoll(2).
is_waiting() { grep -q '^271 ' "/proc/$agent/syscall"; }

# stop_agent: as systemd does; its exit status.
stop_agent() {
  kill -TERM "$agent"
  wait "$agent"
}

count_descriptors() { find "/proc/$agent/fd" -mindepth 1 -maxdepth 1 2>/dev/null | wc -l; }
count_threads() { find "/proc/$agent/task" -mindepth 1 -maxdepth 1 | wc -l; }
resident_kib() { awk '/^VmRSS/ { print $2 }' "/proc/$agent/status"; }

# ThreadSanitizer has a thread of its own.
threads_at_rest=1
case ${SHMVISOR_SANITIZED:-} in *thread*) threads_at_rest=2 ;; esac
# Three threads that look at processes stay: two, and one in reserve; the one that ends waits; and the log's.
has_threads_of_rest() { [ "$(count_threads)" -le $((threads_at_rest + 5)) ]; }
is_at_rest() { has_threads_of_rest && [ "$(count_descriptors)" -le "$descriptors_at_rest" ]; }
# Before anybody was served, or somebody was and is being forgotten: what the agent must come back to.
remember_rest() {
  wait_until 20 has_threads_of_rest
  descriptors_at_rest=$(count_descriptors)
}
assert_nothing_left() {
  # Where processes begin all the time, a namespace is forgotten a minute after it was last seen.
  wait_until 90 is_at_rest || fail "the agent keeps $(count_threads) threads and $(count_descriptors) descriptors,
not $threads_at_rest to $((threads_at_rest + 5)) and $descriptors_at_rest: $(ls -l "/proc/$agent/fd")"
}
