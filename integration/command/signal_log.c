// signal_log: writes the number of each signal that it gets, in order, and ends with status 42 at
// SIGUSR2.
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  // A signal that was ignored at the start is not queued, not even when it is blocked.
  for (int number = 1; number < NSIG; ++number) {
    signal(number, SIG_DFL);
  }
  puts("ready");
  for (;;) {
    siginfo_t info;
    const int number = sigwaitinfo(&all, &info);
    if (number < 0) {
      return 1;
    }
    printf("signal %d\n", number);
    if (number == SIGUSR2) {
      return 42;
    }
  }
}
