// Clang's thread-safety annotations, by the names that its documentation uses. They say which lock
// guards what; the preset thread-safety has clang check them. Other compilers see nothing.
#pragma once

#if defined(__clang__)
#define SHMVISOR_ANNOTATION(attribute) __attribute__((attribute))
#else
#define SHMVISOR_ANNOTATION(attribute)
#endif

// Types: a lock, and a guard that holds a lock while the guard lives.
#define CAPABILITY(name) SHMVISOR_ANNOTATION(capability(name))
#define SCOPED_CAPABILITY SHMVISOR_ANNOTATION(scoped_lockable)

// Members: to be used only with the lock held.
#define GUARDED_BY(lock) SHMVISOR_ANNOTATION(guarded_by(lock))

// Functions: what the calling thread must hold, must not hold, and what changes that.
#define REQUIRES(...) SHMVISOR_ANNOTATION(requires_capability(__VA_ARGS__))
#define REQUIRES_SHARED(...) SHMVISOR_ANNOTATION(requires_shared_capability(__VA_ARGS__))
#define EXCLUDES(...) SHMVISOR_ANNOTATION(locks_excluded(__VA_ARGS__))
#define ACQUIRE(...) SHMVISOR_ANNOTATION(acquire_capability(__VA_ARGS__))
#define ACQUIRE_SHARED(...) SHMVISOR_ANNOTATION(acquire_shared_capability(__VA_ARGS__))
/// Of a function that answers `result` where it has taken the lock.
#define TRY_ACQUIRE(result) SHMVISOR_ANNOTATION(try_acquire_capability(result))
#define RELEASE(...) SHMVISOR_ANNOTATION(release_capability(__VA_ARGS__))
#define RELEASE_SHARED(...) SHMVISOR_ANNOTATION(release_shared_capability(__VA_ARGS__))
/// For a scoped guard's end, of whichever kind the hold is.
#define RELEASE_GENERIC(...) SHMVISOR_ANNOTATION(release_generic_capability(__VA_ARGS__))
/// For the few functions whose correctness the analysis cannot see; the comment there says why.
#define NO_THREAD_SAFETY_ANALYSIS SHMVISOR_ANNOTATION(no_thread_safety_analysis)
