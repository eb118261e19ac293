/* How the runner exits when it fails. */
#ifndef AGECOMPACT_FAIL_H
#define AGECOMPACT_FAIL_H

/* Exit codes, one for each kind of failure. */
enum {
  EXIT_USAGE = 2,
  EXIT_LIBRARY = 3,
  EXIT_MODEL = 4,
  EXIT_GOLDEN = 5,
  EXIT_MISMATCH = 6,
  EXIT_INFERENCE = 7,
  EXIT_CORES = 8,
};

/* Prints `error ...` as a line of the output, and exits. */
__attribute__((noreturn, format(printf, 2, 3))) void fail(int code, const char *format, ...);

#endif
