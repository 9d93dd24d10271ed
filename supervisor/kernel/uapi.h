// What the kernel has and Debian 12's headers (Linux 6.1) lack, under the kernel's own names.
//
// Each block names the header it comes from and the first kernel that has it. Sizes are in bytes
// and pinned by static_assert, since they are part of the ioctl numbers. Newer headers win: a block
// is skipped when its name is defined already.
//
// No thread rule, no ownership: constants and plain structures.
#pragma once

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/ioctl.h>
#include <linux/seccomp.h>
#include <linux/types.h>
#include <sys/mman.h>
#include <sys/pidfd.h>  // <linux/pidfd.h> clashes with <fcntl.h>; newer ones of this have its names
#include <sys/syscall.h>

// After <sys/mman.h>, which defines the same flags only where they are not defined yet.
#include <linux/memfd.h>
#include <linux/mman.h>

// <linux/seccomp.h>, Linux 5.19
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

// <linux/seccomp.h>, Linux 6.6. The argument of the ioctl is the flags word, not a pointer to it.
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)
#endif
#ifndef SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

// <asm/unistd.h>, the same number on every architecture: Linux 5.3, 5.6
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif

// <linux/pidfd.h>, Linux 6.9: pidfd_open(2) of a thread that leads no group
#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL
#endif

// <linux/prctl.h>, Linux 5.11
#ifndef PR_SYS_DISPATCH_OFF
#define PR_SYS_DISPATCH_OFF 0
#endif

// <linux/ptrace.h>, Linux 6.4. A name of the requests' own, since <sys/ptrace.h> may have an enum.
#ifndef PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG
#define PTRACE_GET_SYSCALL_USER_DISPATCH_CONFIG 0x4211

struct ptrace_sud_config {
  __u64 mode;
  __u64 selector;
  __u64 offset;
  __u64 len;
};
static_assert(sizeof(ptrace_sud_config) == 32);
#endif

// <linux/pidfd.h>, Linux 6.13. The first published size; later fields are never asked for here.
// The kernel answers with those of the asked-for fields in `mask` that it filled in.
#ifndef PIDFD_GET_INFO
#define PIDFD_INFO_PID (1UL << 0)       // always filled in
#define PIDFD_INFO_CREDS (1UL << 1)     // always filled in while the task lives
#define PIDFD_INFO_CGROUPID (1UL << 2)  // filled in where there are cgroups
#define PIDFD_INFO_EXIT (1UL << 3)      // Linux 6.15: exit_code, once the task is reaped
#define PIDFD_INFO_SIZE_VER0 64

struct pidfd_info {
  __u64 mask;
  __u64 cgroupid;
  __u32 pid;
  __u32 tgid;
  __u32 ppid;
  __u32 ruid;
  __u32 rgid;
  __u32 euid;
  __u32 egid;
  __u32 suid;
  __u32 sgid;
  __u32 fsuid;
  __u32 fsgid;
  __s32 exit_code;  // a zero filler before Linux 6.15
};
static_assert(sizeof(struct pidfd_info) == PIDFD_INFO_SIZE_VER0);

#ifndef PIDFS_IOCTL_MAGIC
#define PIDFS_IOCTL_MAGIC 0xFF
#endif
#define PIDFD_GET_INFO _IOWR(PIDFS_IOCTL_MAGIC, 11, struct pidfd_info)
#endif

// <linux/pidfd.h>, Linux 6.11: the namespaces of a pidfd's task.
#ifndef PIDFD_GET_IPC_NAMESPACE
#define PIDFD_GET_IPC_NAMESPACE _IO(PIDFS_IOCTL_MAGIC, 2)
#define PIDFD_GET_MNT_NAMESPACE _IO(PIDFS_IOCTL_MAGIC, 3)
#define PIDFD_GET_PID_NAMESPACE _IO(PIDFS_IOCTL_MAGIC, 5)
#define PIDFD_GET_USER_NAMESPACE _IO(PIDFS_IOCTL_MAGIC, 9)
#endif

// <linux/fs.h>, Linux 6.11: an ioctl on an open /proc/PID/maps. ENOENT when no mapping matches.
#ifndef PROCMAP_QUERY
#ifndef PROCFS_IOCTL_MAGIC
#define PROCFS_IOCTL_MAGIC 'f'
#endif

enum procmap_query_flags {
  // As a filter: only mappings that have all of these. Also what vma_flags is made of.
  PROCMAP_QUERY_VMA_READABLE = 0x01,
  PROCMAP_QUERY_VMA_WRITABLE = 0x02,
  PROCMAP_QUERY_VMA_EXECUTABLE = 0x04,
  PROCMAP_QUERY_VMA_SHARED = 0x08,
  // The mapping at query_addr, or else the next one above it.
  PROCMAP_QUERY_COVERING_OR_NEXT_VMA = 0x10,
  PROCMAP_QUERY_FILE_BACKED_VMA = 0x20,
};

struct procmap_query {
  __u64 size;           // in: sizeof(struct procmap_query)
  __u64 query_flags;    // in
  __u64 query_addr;     // in
  __u64 vma_start;      // out: first address
  __u64 vma_end;        // out: first address behind it
  __u64 vma_flags;      // out
  __u64 vma_page_size;  // out, bytes
  __u64 vma_offset;     // out, bytes into the file
  __u64 inode;          // out, 0 where no file is mapped
  __u32 dev_major;      // out
  __u32 dev_minor;      // out
  __u32 vma_name_size;  // in and out: bytes at vma_name_addr; 0 asks for none
  __u32 build_id_size;  // in and out: bytes at build_id_addr; 0 asks for none
  __u64 vma_name_addr;  // in
  __u64 build_id_addr;  // in
};
static_assert(sizeof(struct procmap_query) == 104);

#define PROCMAP_QUERY _IOWR(PROCFS_IOCTL_MAGIC, 17, struct procmap_query)
#endif

// <linux/fcntl.h>, Linux 6.18: for open_by_handle_at(2), which wants a descriptor of a file system
#ifndef FD_NSFS_ROOT
#define FD_NSFS_ROOT (-10003)
#endif

// <linux/memfd.h> and <linux/fcntl.h>, Linux 6.3
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

// <asm/unistd.h> and <linux/mman.h>, Linux 6.5: pages of a file in memory, by state. The call has
// had this number on every architecture; a length of 0 means "to the end of the file".
#ifndef SYS_cachestat
#ifdef __NR_cachestat
#define SYS_cachestat __NR_cachestat
#else
#define SYS_cachestat 451

struct cachestat_range {
  __u64 off;  // bytes
  __u64 len;  // bytes
};

struct cachestat {  // all in pages
  __u64 nr_cache;
  __u64 nr_dirty;
  __u64 nr_writeback;
  __u64 nr_evicted;
  __u64 nr_recently_evicted;
};
static_assert(sizeof(struct cachestat) == 40);
#endif
#endif
