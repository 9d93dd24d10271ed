// Whether a byte can be read or written, said in the transcript.
#pragma once

#include <setjmp.h>

#include "transcript.h"

static sigjmp_buf fault_exit;

static void on_fault(int signal_number) { siglongjmp(fault_exit, signal_number); }

// "readable", "writable" or the signal that the access ended with.
static void access_of(const char* label, volatile char* byte, bool write) {
  struct sigaction action = {.sa_handler = on_fault};
  struct sigaction old_segv;
  struct sigaction old_bus;
  sigaction(SIGSEGV, &action, &old_segv);
  sigaction(SIGBUS, &action, &old_bus);
  const int ended = sigsetjmp(fault_exit, 1);
  if (ended == 0) {
    if (write) {
      *byte = 'w';
    } else {
      (void)*byte;
    }
    say("%s: %s works", label, write ? "write" : "read");
  } else {
    say("%s: %s gives signal %d", label, write ? "write" : "read", ended);
  }
  sigaction(SIGSEGV, &old_segv, NULL);
  sigaction(SIGBUS, &old_bus, NULL);
}
