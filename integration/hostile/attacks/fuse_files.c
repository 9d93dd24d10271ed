#include "fuse_files.h"

#include <sys/mount.h>
#include <sys/uio.h>

enum { kFile = 2, kFileBytes = 1 << 20 };

static void answer(int device, const struct fuse_in_header* request, int error, const void* data,
                   size_t bytes) {
  struct fuse_out_header header = {
      .len = (uint32_t)(sizeof header + bytes), .error = error, .unique = request->unique};
  char whole[sizeof header + 8192];
  if (bytes > 8192) bytes = 8192;
  memcpy(whole, &header, sizeof header);
  if (bytes != 0) memcpy(whole + sizeof header, data, bytes);
  if (write(device, whole, sizeof header + bytes) < 0) return;
}

static struct fuse_attr attributes_of(uint64_t node) {
  return (struct fuse_attr){.ino = node,
                            .size = node == kFile ? kFileBytes : 0,
                            .mode = node == kFile ? S_IFREG | 0777 : S_IFDIR | 0777,
                            .nlink = 1,
                            .uid = 65534,
                            .gid = 65534,
                            .blksize = 4096};
}

static void handle(int device, const struct fuse_in_header* request) {
  static const char kZeros[4096];
  switch (request->opcode) {
    case FUSE_INIT: {
      const struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION,
                                        .minor = 31,
                                        .max_readahead = 0,
                                        .max_background = 1000,
                                        .congestion_threshold = 1000,
                                        .max_write = 4096};
      answer(device, request, 0, &out, sizeof out);
      return;
    }
    case FUSE_LOOKUP: {
      const struct fuse_entry_out out = {
          .nodeid = kFile, .entry_valid = 60, .attr_valid = 60, .attr = attributes_of(kFile)};
      const bool known = strcmp((const char*)(request + 1), "file") == 0;
      answer(device, request, known ? 0 : -ENOENT, &out, known ? sizeof out : 0);
      return;
    }
    case FUSE_GETATTR: {
      const struct fuse_attr_out out = {.attr_valid = 60, .attr = attributes_of(request->nodeid)};
      answer(device, request, 0, &out, sizeof out);
      return;
    }
    case FUSE_OPEN:
    case FUSE_OPENDIR: {
      const struct fuse_open_out out = {.fh = 1};
      answer(device, request, 0, &out, sizeof out);
      return;
    }
    case FUSE_READ:
      answer(device, request, 0, kZeros, sizeof kZeros);
      return;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
      return;
    case FUSE_FLUSH:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
      answer(device, request, 0, NULL, 0);
      return;
    default:
      answer(device, request, -ENOSYS, NULL, 0);
  }
}

static void serve(int device, uint64_t unanswered) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  static char request[64 * 1024 + 4096];
  for (;;) {
    const ssize_t got = read(device, request, sizeof request);
    if (got < 0 && (errno == EINTR || errno == ENOENT)) continue;
    if (got < (ssize_t)sizeof(struct fuse_in_header)) _exit(0);
    const struct fuse_in_header* const header = (const struct fuse_in_header*)(void*)request;
    if (header->opcode < 64 && (unanswered & UNANSWERED(header->opcode)) != 0) continue;
    handle(device, header);
  }
}

void serve_files(const char* place, uint64_t unanswered) {
  const int device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  char options[128];
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=65534,group_id=65534,allow_other",
           device);
  if (device < 0 || unshare(CLONE_NEWNS) != 0 ||
      mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
      mount("attack", place, "fuse", MS_NOSUID | MS_NODEV, options) != 0) {
    printf("no file system of its own: %s\n", strerror(errno));
    exit(77);
  }
  if (fork() == 0) serve(device, unanswered);
  close(device);
}
