/* A golden pack: inputs and PyTorch's outputs for them, in files that C reads without a library.
 *
 * golden.txt holds one item per line:
 *
 *   agecompact-golden 1 (2, if it has a number of channels or of values)
 *   model NAME
 *   samples N
 *   height H
 *   width W
 *   channels C          1 or 3; 3 if it is missing
 *   colors ORDER        BGR, RGB or GREY; files that take pictures need it
 *   input NAME FILE     uint8, N x H x W x C: cropped, resized, in the model's colour order
 *   table FILE          float32, C x 256: the input value of each level in each channel
 *   output NAME FILE K  float32, N x K: PyTorch's outputs; K is 1 if it is missing
 *   end
 *
 * Numbers in files are little-endian; each FILE is in the pack's folder. */
#ifndef AGECOMPACT_GOLDEN_H
#define AGECOMPACT_GOLDEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  GOLDEN_NAME_BYTES = 128,
  GOLDEN_MAX_TENSORS = 16,
  GOLDEN_LEVELS = 256,
  GOLDEN_MAX_CHANNELS = 3,
};

typedef struct {
  char name[GOLDEN_NAME_BYTES];
  void *values; /* uint8_t for an input, float for an output. */
} GoldenTensor;

typedef struct {
  char model[GOLDEN_NAME_BYTES];
  size_t samples, height, width, channels;
  bool knows_colors, is_bgr;
  size_t num_inputs, num_outputs;
  GoldenTensor inputs[GOLDEN_MAX_TENSORS], outputs[GOLDEN_MAX_TENSORS];
  float table[GOLDEN_MAX_CHANNELS][GOLDEN_LEVELS];
} Golden;

/* Reads a pack.
 *
 * Returns NULL or an error message, which is valid until the next call. */
const char *golden_read(const char *folder, Golden *golden);

/* Number of values in one input sample. */
size_t golden_input_values(const Golden *golden);

/* Writes one sample of one input in the model's layout, with the table applied. */
void golden_fill(const Golden *golden, size_t input, size_t sample, bool channels_first,
                 float *tensor);

/* Writes one sample of one input as a picture: its levels in RGB, or grey. The pack must know its
 * colors. */
void golden_fill_picture(const Golden *golden, size_t input, size_t sample, bool channels_first,
                         uint8_t *picture);

#endif
