#include "golden.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  LINE_BYTES = 1024,
  MAX_SAMPLES = 1 << 16,
  MAX_SIDE = 1 << 12,
  MAX_VALUES = 1 << 17,
};

static char message[LINE_BYTES];

__attribute__((format(printf, 1, 2))) static const char *error(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  return message;
}

static const char *read_exactly(const char *folder, const char *file, size_t bytes, void *into) {
  if (strchr(file, '/') != NULL) return error("%s is not a plain file name", file);
  char path[LINE_BYTES];
  if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, file) >= sizeof path)
    return error("the path of %s is too long", file);
  FILE *stream = fopen(path, "rb");
  if (stream == NULL) return error("cannot open %s", path);
  size_t got = fread(into, 1, bytes, stream);
  bool more = fgetc(stream) != EOF;
  fclose(stream);
  if (got != bytes || more) return error("%s does not hold %zu bytes", path, bytes);
  return NULL;
}

static const char *read_tensor(const char *folder, const char *rest, size_t bytes, size_t *count,
                               GoldenTensor *tensors) {
  char file[LINE_BYTES];
  if (*count == GOLDEN_MAX_TENSORS) return error("more than %d tensors", GOLDEN_MAX_TENSORS);
  GoldenTensor *tensor = &tensors[*count];
  if (sscanf(rest, "%127s %1023s", tensor->name, file) != 2)
    return error("'%s' is not a name and a file", rest);
  if (bytes == 0) return error("'%s' comes before samples, height and width", rest);
  tensor->values = malloc(bytes);
  if (tensor->values == NULL) return error("cannot allocate %zu bytes", bytes);
  ++*count;
  return read_exactly(folder, file, bytes, tensor->values);
}

static const char *read_size(const char *rest, size_t most, size_t *size) {
  char *stop;
  unsigned long value = strtoul(rest, &stop, 10);
  if (*rest == '-' || stop == rest || *stop != '\0' || value == 0 || value > most)
    return error("'%s' is not a number from 1 to %zu", rest, most);
  *size = value;
  return NULL;
}

static const char *read_colors(const char *rest, Golden *golden) {
  golden->is_bgr = strcmp(rest, "BGR") == 0;
  golden->knows_colors = golden->is_bgr || strcmp(rest, "RGB") == 0 || strcmp(rest, "GREY") == 0;
  return golden->knows_colors ? NULL : error("unknown colors '%s'", rest);
}

static const char *read_line(const char *folder, char *line, Golden *golden, bool *ended) {
  char *rest = strchr(line, ' ');
  if (rest != NULL) *rest++ = '\0';
  if (strcmp(line, "end") == 0) {
    *ended = true;
    return NULL;
  }
  if (rest == NULL) return error("'%s' has no value", line);
  if (strcmp(line, "model") == 0) {
    snprintf(golden->model, sizeof golden->model, "%.*s", GOLDEN_NAME_BYTES - 1, rest);
    return NULL;
  }
  if (strcmp(line, "samples") == 0) return read_size(rest, MAX_SAMPLES, &golden->samples);
  if (strcmp(line, "height") == 0) return read_size(rest, MAX_SIDE, &golden->height);
  if (strcmp(line, "width") == 0) return read_size(rest, MAX_SIDE, &golden->width);
  if (strcmp(line, "channels") == 0)
    return read_size(rest, GOLDEN_MAX_CHANNELS, &golden->channels);
  if (strcmp(line, "colors") == 0) return read_colors(rest, golden);
  if (strcmp(line, "table") == 0)
    return read_exactly(folder, rest, golden->channels * sizeof golden->table[0], golden->table);
  if (strcmp(line, "input") == 0)
    return read_tensor(folder, rest, golden->samples * golden_input_values(golden),
                       &golden->num_inputs, golden->inputs);
  if (strcmp(line, "output") == 0) {
    size_t values = 1;
    char *after = strchr(rest, ' ');
    char *last = after == NULL ? NULL : strchr(after + 1, ' ');
    if (last != NULL) {
      *last++ = '\0';
      const char *problem = read_size(last, MAX_VALUES, &values);
      if (problem != NULL) return problem;
    }
    return read_tensor(folder, rest, golden->samples * values * sizeof(float),
                       &golden->num_outputs, golden->outputs);
  }
  return error("unknown item '%s'", line);
}

const char *golden_read(const char *folder, Golden *golden) {
  memset(golden, 0, sizeof *golden);
  golden->channels = GOLDEN_MAX_CHANNELS;
  char line[LINE_BYTES];
  if ((size_t)snprintf(line, sizeof line, "%s/golden.txt", folder) >= sizeof line)
    return error("its path is too long");
  FILE *stream = fopen(line, "r");
  if (stream == NULL) return error("it has no golden.txt");
  const char *problem = NULL;
  bool ended = false, begun = false;
  while (problem == NULL && !ended && fgets(line, sizeof line, stream) != NULL) {
    line[strcspn(line, "\r\n")] = '\0';
    if (!begun && strcmp(line, "agecompact-golden 1") != 0 &&
        strcmp(line, "agecompact-golden 2") != 0)
      problem = error("golden.txt does not begin with 'agecompact-golden 1' or '2'");
    else if (begun)
      problem = read_line(folder, line, golden, &ended);
    begun = true;
  }
  fclose(stream);
  if (problem == NULL && !ended) problem = error("golden.txt has no 'end'");
  if (problem == NULL && (golden->num_inputs == 0 || golden->num_outputs == 0))
    problem = error("golden.txt lists no input or no output");
  return problem;
}

size_t golden_input_values(const Golden *golden) {
  return golden->height * golden->width * golden->channels;
}

static const uint8_t *levels_of(const Golden *golden, size_t input, size_t sample) {
  return (const uint8_t *)golden->inputs[input].values + sample * golden_input_values(golden);
}

void golden_fill(const Golden *golden, size_t input, size_t sample, bool channels_first,
                 float *tensor) {
  size_t pixels = golden->height * golden->width, channels = golden->channels;
  const uint8_t *levels = levels_of(golden, input, sample);
  for (size_t pixel = 0; pixel < pixels; ++pixel)
    for (size_t channel = 0; channel < channels; ++channel) {
      size_t place = channels_first ? channel * pixels + pixel : pixel * channels + channel;
      tensor[place] = golden->table[channel][levels[pixel * channels + channel]];
    }
}

void golden_fill_picture(const Golden *golden, size_t input, size_t sample, bool channels_first,
                         uint8_t *picture) {
  size_t pixels = golden->height * golden->width, channels = golden->channels;
  const uint8_t *levels = levels_of(golden, input, sample);
  for (size_t pixel = 0; pixel < pixels; ++pixel)
    for (size_t channel = 0; channel < channels; ++channel) {
      size_t place = channels_first ? channel * pixels + pixel : pixel * channels + channel;
      size_t stored = golden->is_bgr ? channels - 1 - channel : channel;
      picture[place] = levels[pixel * channels + stored];
    }
}
