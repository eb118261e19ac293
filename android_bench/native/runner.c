/* Runs a TFLite file through LiteRT's C API: times it, and replays a golden pack.
 *
 *   runner --library libLiteRt.so --model m.tflite --golden DIR
 *          [--warmup N] [--runs N] [--samples N] [--threads N] [--cores MASK]
 *          [--layout NHWC|NCHW] [--signature KEY] [--accelerator cpu|gpu|npu]
 *
 * It prints lines:
 *
 *   agecompact-runner 1
 *   model NAME                      from the golden pack
 *   threads N
 *   cores MASK                      hexadecimal; 0 if not pinned
 *   init_ns N                       from creating LiteRT's environment to binding tensors
 *   fully_accelerated true|false|unknown
 *   first_inference_ns N
 *   samples_ns N ...                the timed inferences, after the warm-up, on the first sample
 *   output NAME SAMPLE FLOAT...     for every golden sample, its values as %a prints them
 *   peak_rss_bytes N|unknown
 *   end
 *
 * Output without `end` is truncated. A line `error ...` holds the error message, and the exit code
 * (fail.h) is the kind of failure. */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "fail.h"
#include "golden.h"
#include "litert.h"
#include "mark.h"
#include "options.h"

typedef struct {
  LiteRtApi api;
  LiteRtHandle environment, model, compiled;
  size_t signature, num_inputs, num_outputs;
  LiteRtHandle inputs[GOLDEN_MAX_TENSORS], outputs[GOLDEN_MAX_TENSORS];
  const char *output_names[GOLDEN_MAX_TENSORS];
  size_t output_values[GOLDEN_MAX_TENSORS];
  size_t golden_input[GOLDEN_MAX_TENSORS]; /* The pack's index of each input. */
  bool takes_picture[GOLDEN_MAX_TENSORS];  /* Whether an input is uint8: levels in RGB, or grey. */
} Session;

static void check(int status, int code, const char *what) {
  if (status != LITERT_OK) fail(code, "%s: LiteRT status %d", what, status);
}

static void mark(unsigned long where) { prctl(MARK_MAGIC, where, 0UL, 0UL, 0UL); }

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void pin(uint64_t cores) {
  cpu_set_t set;
  CPU_ZERO(&set);
  for (unsigned core = 0; core < 64; ++core)
    if (cores >> core & 1) CPU_SET(core, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0)
    fail(EXIT_CORES, "cannot run on cores %" PRIx64 ": %s", cores, strerror(errno));
}

static void no_op(void *payload) { (void)payload; }

static void compile(Session *session, const Options *options) {
  const LiteRtApi *api = &session->api;
  static char threads[32];
  LiteRtHandle choices, cpu;
  snprintf(threads, sizeof threads, "num_threads = %d\n", options->threads);
  /* Only the requested ones: by default LiteRT also searches for the libraries of every GPU. */
  const LiteRtEnvironmentOption wanted = {.tag = LITERT_ENVIRONMENT_ACCELERATORS,
                                          .value_type = LITERT_ANY_INT,
                                          .value = options->accelerators};
  check(api->CreateEnvironment(1, &wanted, &session->environment), EXIT_LIBRARY, "environment");
  check(api->CreateModelFromFile(session->environment, options->model, &session->model), EXIT_MODEL,
        "model file");
  check(api->CreateOptions(&choices), EXIT_LIBRARY, "options");
  check(api->SetOptionsHardwareAccelerators(choices, options->accelerators), EXIT_LIBRARY,
        "accelerator");
  check(api->CreateOpaqueOptions("xnnpack", threads, no_op, &cpu), EXIT_LIBRARY, "CPU options");
  check(api->AddOpaqueOptions(choices, cpu), EXIT_LIBRARY, "CPU options");
  check(api->CreateCompiledModel(session->environment, session->model, choices,
                                 &session->compiled),
        EXIT_MODEL, "compiling the model");
}

static LiteRtHandle find_signature(Session *session, const char *wanted) {
  const LiteRtApi *api = &session->api;
  size_t count;
  check(api->GetNumModelSignatures(session->model, &count), EXIT_MODEL, "signatures");
  for (session->signature = 0; session->signature < count; ++session->signature) {
    LiteRtHandle signature;
    const char *key;
    check(api->GetModelSignature(session->model, session->signature, &signature), EXIT_MODEL,
          "signature");
    check(api->GetSignatureKey(signature, &key), EXIT_MODEL, "signature key");
    if (strcmp(key, wanted) == 0) return signature;
  }
  fail(EXIT_MISMATCH, "the model has no signature '%s'", wanted);
}

static size_t values_of(const LiteRtApi *api, LiteRtHandle tensor, const char *name,
                        LiteRtTensorType *type) {
  memset(type, 0, sizeof *type);
  check(api->GetRankedTensorType(tensor, type), EXIT_MODEL, "tensor type");
  size_t rank = type->rank_and_flags & 0x7f, values = 1;
  if (rank > LITERT_MAX_RANK) fail(EXIT_MISMATCH, "'%s' has %zu axes", name, rank);
  for (size_t i = 0; i < rank; ++i) {
    if (type->dimensions[i] < 1) fail(EXIT_MISMATCH, "'%s' has no fixed shape", name);
    values *= (size_t)type->dimensions[i];
  }
  return values;
}

static void bind_input(Session *session, LiteRtHandle signature, size_t index,
                       const Golden *golden) {
  const LiteRtApi *api = &session->api;
  const char *name;
  LiteRtHandle tensor, requirements;
  LiteRtTensorType type;
  check(api->GetSignatureInputName(signature, index, &name), EXIT_MODEL, "input name");
  check(api->GetSignatureInputTensorByIndex(signature, index, &tensor), EXIT_MODEL, "input");
  size_t found = 0;
  while (found < golden->num_inputs && strcmp(golden->inputs[found].name, name) != 0) ++found;
  if (found == golden->num_inputs) fail(EXIT_MISMATCH, "the golden pack has no input '%s'", name);
  session->golden_input[index] = found;
  if (values_of(api, tensor, name, &type) != golden_input_values(golden))
    fail(EXIT_MISMATCH, "input '%s' has another size in the golden pack", name);
  session->takes_picture[index] = type.element_type == LITERT_UINT8;
  if (session->takes_picture[index] && !golden->knows_colors)
    fail(EXIT_MISMATCH, "input '%s' is a picture, and the golden pack has no colors", name);
  if (!session->takes_picture[index] && type.element_type != LITERT_FLOAT32)
    fail(EXIT_MISMATCH, "input '%s' is neither float32 nor uint8", name);
  check(api->GetCompiledModelInputBufferRequirements(session->compiled, session->signature, index,
                                                     &requirements),
        EXIT_MODEL, "input buffer");
  check(api->CreateManagedTensorBufferFromRequirements(session->environment, &type, requirements,
                                                       &session->inputs[index]),
        EXIT_MODEL, "input buffer");
}

static void bind_output(Session *session, LiteRtHandle signature, size_t index) {
  const LiteRtApi *api = &session->api;
  const char **name = &session->output_names[index];
  LiteRtHandle tensor, requirements;
  LiteRtTensorType type;
  check(api->GetSignatureOutputName(signature, index, name), EXIT_MODEL, "output name");
  check(api->GetSignatureOutputTensorByIndex(signature, index, &tensor), EXIT_MODEL, "output");
  session->output_values[index] = values_of(api, tensor, *name, &type);
  if (type.element_type != LITERT_FLOAT32)
    fail(EXIT_MISMATCH, "output '%s' is not a float32 tensor", *name);
  check(api->GetCompiledModelOutputBufferRequirements(session->compiled, session->signature, index,
                                                      &requirements),
        EXIT_MODEL, "output buffer");
  check(api->CreateManagedTensorBufferFromRequirements(session->environment, &type, requirements,
                                                       &session->outputs[index]),
        EXIT_MODEL, "output buffer");
}

static void bind_all(Session *session, const char *key, const Golden *golden) {
  LiteRtHandle signature = find_signature(session, key);
  check(session->api.GetNumSignatureInputs(signature, &session->num_inputs), EXIT_MODEL, "inputs");
  check(session->api.GetNumSignatureOutputs(signature, &session->num_outputs), EXIT_MODEL,
        "outputs");
  if (session->num_inputs != golden->num_inputs || session->num_outputs > GOLDEN_MAX_TENSORS)
    fail(EXIT_MISMATCH, "the model has %zu inputs, the golden pack %zu", session->num_inputs,
         golden->num_inputs);
  for (size_t i = 0; i < session->num_inputs; ++i) bind_input(session, signature, i, golden);
  for (size_t i = 0; i < session->num_outputs; ++i) bind_output(session, signature, i);
}

static void feed(const Session *session, const Golden *golden, size_t sample, bool channels_first) {
  for (size_t i = 0; i < session->num_inputs; ++i) {
    void *memory;
    check(session->api.LockTensorBuffer(session->inputs[i], &memory, LITERT_LOCK_WRITE),
          EXIT_INFERENCE, "locking an input");
    if (session->takes_picture[i])
      golden_fill_picture(golden, session->golden_input[i], sample, channels_first, memory);
    else golden_fill(golden, session->golden_input[i], sample, channels_first, memory);
    check(session->api.UnlockTensorBuffer(session->inputs[i]), EXIT_INFERENCE,
          "unlocking an input");
  }
}

static uint64_t infer_ns(Session *session) {
  mark(MARK_INFERENCE_BEGIN);
  uint64_t begin = now_ns();
  int status = session->api.RunCompiledModel(session->compiled, session->signature,
                                             session->num_inputs, session->inputs,
                                             session->num_outputs, session->outputs);
  uint64_t taken = now_ns() - begin;
  mark(MARK_INFERENCE_END);
  check(status, EXIT_INFERENCE, "inference");
  return taken;
}

static void print_output(const Session *session, size_t index, size_t sample) {
  void *memory;
  check(session->api.LockTensorBuffer(session->outputs[index], &memory, LITERT_LOCK_READ),
        EXIT_INFERENCE, "locking an output");
  printf("output %s %zu", session->output_names[index], sample);
  for (size_t i = 0; i < session->output_values[index]; ++i)
    printf(" %a", (double)((const float *)memory)[i]);
  putchar('\n');
  check(session->api.UnlockTensorBuffer(session->outputs[index]), EXIT_INFERENCE,
        "unlocking an output");
}

static void replay(Session *session, const Golden *golden, const Options *options) {
  size_t samples = golden->samples;
  if (options->samples != 0 && options->samples < samples) samples = options->samples;
  for (size_t sample = 0; sample < samples; ++sample) {
    feed(session, golden, sample, options->channels_first);
    infer_ns(session);
    for (size_t i = 0; i < session->num_outputs; ++i) print_output(session, i, sample);
  }
}

static void print_peak_rss(void) {
  FILE *status = fopen("/proc/self/status", "r");
  char line[256];
  unsigned long kilobytes = 0;
  while (status != NULL && fgets(line, sizeof line, status) != NULL)
    if (sscanf(line, "VmHWM: %lu kB", &kilobytes) == 1) break;
  if (status != NULL) fclose(status);
  if (kilobytes == 0) puts("peak_rss_bytes unknown");
  else printf("peak_rss_bytes %" PRIu64 "\n", (uint64_t)kilobytes * 1024);
}

int main(int count, char **words) {
  puts("agecompact-runner 1");
  Options options = options_parse(count, words);
  static Golden golden;
  static Session session;
  if (options.cores != 0) pin(options.cores);
  const char *problem = golden_read(options.golden, &golden);
  if (problem != NULL) fail(EXIT_GOLDEN, "golden pack %s: %s", options.golden, problem);
  problem = litert_open(options.library, &session.api);
  if (problem != NULL) fail(EXIT_LIBRARY, "%s", problem);

  mark(MARK_INIT_BEGIN);
  uint64_t begin = now_ns();
  compile(&session, &options);
  bind_all(&session, options.signature, &golden);
  uint64_t init_ns = now_ns() - begin;
  mark(MARK_INIT_END);

  bool accelerated;
  bool known = session.api.CompiledModelIsFullyAccelerated(session.compiled, &accelerated) == 0;
  printf("model %s\nthreads %d\ncores %" PRIx64 "\ninit_ns %" PRIu64 "\n", golden.model,
         options.threads, options.cores, init_ns);
  printf("fully_accelerated %s\n", !known ? "unknown" : accelerated ? "true" : "false");
  feed(&session, &golden, 0, options.channels_first);
  printf("first_inference_ns %" PRIu64 "\n", infer_ns(&session));
  for (size_t i = 0; i < options.warmup; ++i) infer_ns(&session);
  uint64_t *samples_ns = calloc(options.runs, sizeof *samples_ns);
  if (samples_ns == NULL) fail(EXIT_INFERENCE, "cannot allocate %zu samples", options.runs);
  for (size_t i = 0; i < options.runs; ++i) samples_ns[i] = infer_ns(&session);
  fputs("samples_ns", stdout);
  for (size_t i = 0; i < options.runs; ++i) printf(" %" PRIu64, samples_ns[i]);
  putchar('\n');
  replay(&session, &golden, &options);
  print_peak_rss();
  puts("end");
  /* Nothing is freed: the process ends here, and teardown is not measured. */
  return fflush(stdout) == 0 ? 0 : EXIT_INFERENCE;
}
