/* The runner's command line. */
#ifndef AGECOMPACT_OPTIONS_H
#define AGECOMPACT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  const char *library, *model, *golden, *signature;
  size_t warmup, runs;
  size_t samples; /* Of the golden pack's; 0 is all of them. */
  int threads, accelerators;
  uint64_t cores; /* A mask; 0 leaves it to the system. */
  bool channels_first;
} Options;

/* Reads the command line, or fails with EXIT_USAGE. */
Options options_parse(int count, char **words);

#endif
