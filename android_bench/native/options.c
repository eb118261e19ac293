#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "fail.h"
#include "litert.h"

static uint64_t number(const char *option, const char *text, int base, uint64_t most) {
  char *stop;
  errno = 0;
  uint64_t value = strtoull(text, &stop, base);
  if (errno != 0 || *text == '-' || stop == text || *stop != '\0' || value > most)
    fail(EXIT_USAGE, "%s %s: not a number up to %" PRIu64, option, text, most);
  return value;
}

static size_t choice(const char *option, const char *text, size_t count, const char *const *names) {
  for (size_t i = 0; i < count; ++i)
    if (strcmp(text, names[i]) == 0) return i;
  fail(EXIT_USAGE, "%s %s: unknown value", option, text);
}

Options options_parse(int count, char **words) {
  static const char *const layouts[] = {"NHWC", "NCHW"}, *const places[] = {"cpu", "gpu", "npu"};
  Options options = {.signature = "serving_default", .runs = 2, .threads = 1,
                     .accelerators = LITERT_CPU};
  for (int i = 1; i < count; i += 2) {
    const char *option = words[i], *value = words[i + 1];
    if (i + 1 == count) fail(EXIT_USAGE, "%s has no value", option);
    if (strcmp(option, "--library") == 0) options.library = value;
    else if (strcmp(option, "--model") == 0) options.model = value;
    else if (strcmp(option, "--golden") == 0) options.golden = value;
    else if (strcmp(option, "--signature") == 0) options.signature = value;
    else if (strcmp(option, "--warmup") == 0) options.warmup = number(option, value, 10, 1000000);
    else if (strcmp(option, "--runs") == 0) options.runs = number(option, value, 10, 1000000);
    else if (strcmp(option, "--samples") == 0) options.samples = number(option, value, 10, 1000000);
    else if (strcmp(option, "--threads") == 0) options.threads = (int)number(option, value, 10, 64);
    else if (strcmp(option, "--cores") == 0) options.cores = number(option, value, 16, UINT64_MAX);
    else if (strcmp(option, "--layout") == 0)
      options.channels_first = choice(option, value, 2, layouts) == 1;
    else if (strcmp(option, "--accelerator") == 0)
      options.accelerators = 1 << choice(option, value, 3, places);
    else fail(EXIT_USAGE, "unknown option %s", option);
  }
  if (options.library == NULL || options.model == NULL || options.golden == NULL)
    fail(EXIT_USAGE, "--library, --model and --golden are required");
  if (options.runs == 0 || options.threads == 0)
    fail(EXIT_USAGE, "--runs and --threads must be at least 1");
  return options;
}
