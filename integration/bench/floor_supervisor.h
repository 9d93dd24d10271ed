// The floors: the least that a way of supervising can cost, to measure shmvisor against.
//
// `shmvisor-bench --allow-filter COMMAND...` runs the command under a filter that allows all: what
// a filter of any kind costs each call.
//
// `shmvisor-bench --floor-supervisor THREADS COMMAND...` runs it under the filter of shmvisor and
// answers each notification at once, from threads that are blocked in NOTIF_RECV with
// SYNC_WAKE_UP: shmget and shmctl with 0 (bare notification), shmat with a descriptor of a memfd
// that was put into the caller (ADDFD with FLAG_SEND), shmdt with 0. The caller cooperates: it
// maps, closes and unmaps by itself (ShmCalls). That is not System V shared memory, but the time
// that no answer through a notification can do without.
//
// Both are programs of their own: they end with the command's exit status, 125 where they fail.
#pragma once

namespace shmvisor {

int run_with_allow_filter(char** command);
int run_floor_supervisor(int threads, char** command);

}  // namespace shmvisor
