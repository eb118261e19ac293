/* The runner's command line. */
#ifndef AGECOMPACT_OPTIONS_H
#define AGECOMPACT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
  const char *library, *model, *golden, *signature;
  size_t warmup, runs;
  size_t samples; /* Golden samples to run; 0 for all. */
  int threads, accelerators;
  uint64_t cores; /* Mask to pin to; 0 does not pin. */
  bool channels_first;
} Options;

/* Reads the command line, or fails with EXIT_USAGE. */
Options options_parse(int count, char **words);

#endif
