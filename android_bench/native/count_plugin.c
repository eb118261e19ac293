/* Counts guest instructions under qemu-aarch64, by phase and by class.
 *
 *   qemu-aarch64 -plugin count_plugin.so,out=FILE ...
 *
 * The guest marks its phases (mark.h), and each becomes a line of FILE:
 *
 *   agecompact-counts 1
 *   init LOAD STORE MAC SIMD BRANCH OTHER MACS
 *   inference ...                              one for each inference, in order
 *   end
 *
 * MACS is the number of scalar multiply-accumulates that the MAC instructions did. Counts are exact
 * for a guest with one thread: a block's instructions are added when it starts, and a fault in the
 * middle of a block ends the guest. Two threads would race for the counters.
 *
 * Debian packages no qemu-plugin.h, so this file declares what it needs of plugin API version 1
 * (qemu 4.2 and newer). */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "aarch64.h"
#include "mark.h"

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct {
  const char *target_name;
  struct {
    int min, cur;
  } version;
  /* More fields follow, which are not read here. */
} qemu_info_t;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

typedef void (*translated_t)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*syscall_t)(qemu_plugin_id_t, unsigned vcpu, int64_t number, uint64_t, uint64_t,
                          uint64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t);
typedef void (*at_exit_t)(qemu_plugin_id_t, void *);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translated_t);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t, syscall_t);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, at_exit_t, void *);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, enum qemu_plugin_op, void *,
                                              uint64_t);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);

EXPORT int qemu_plugin_version = 1;

enum { PRCTL = 167, COUNTERS = A64_CLASSES + 1, MACS = A64_CLASSES };

static uint64_t counters[COUNTERS], begun[COUNTERS];
static FILE *out;

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
  (void)id;
  uint64_t here[COUNTERS] = {0};
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); ++i) {
    uint32_t word;
    memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, i)), sizeof word);
    A64Work work = a64_classify(word);
    ++here[work.kind];
    here[MACS] += work.macs;
  }
  for (int i = 0; i < COUNTERS; ++i)
    if (here[i] != 0)
      qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, &counters[i],
                                               here[i]);
}

static void finish(const char *phase) {
  fputs(phase, out);
  for (int i = 0; i < COUNTERS; ++i) fprintf(out, " %" PRIu64, counters[i] - begun[i]);
  fputc('\n', out);
}

static void called(qemu_plugin_id_t id, unsigned vcpu, int64_t number, uint64_t option,
                   uint64_t where, uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7,
                   uint64_t a8) {
  (void)id, (void)vcpu, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (number != PRCTL || option != MARK_MAGIC) return;
  if (where == MARK_INIT_END) finish("init");
  if (where == MARK_INFERENCE_END) finish("inference");
  memcpy(begun, counters, sizeof begun);
}

static void at_exit(qemu_plugin_id_t id, void *data) {
  (void)id, (void)data;
  fputs("end\n", out);
  fclose(out);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                               char **argv) {
  const char *path = NULL;
  for (int i = 0; i < argc; ++i)
    if (strncmp(argv[i], "out=", 4) == 0) path = argv[i] + 4;
  if (path == NULL || strcmp(info->target_name, "aarch64") != 0) {
    fputs("count_plugin: needs out=FILE and an aarch64 guest\n", stderr);
    return 1;
  }
  out = fopen(path, "w");
  if (out == NULL) {
    perror(path);
    return 1;
  }
  fputs("agecompact-counts 1\n", out);
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_vcpu_syscall_cb(id, called);
  qemu_plugin_register_atexit_cb(id, at_exit, NULL);
  return 0;
}
