/* How the runner marks its phases for the counting plugin: a prctl that no kernel knows.
 *
 * Outside the emulator each mark is one failed system call, outside of what is timed. */
#ifndef AGECOMPACT_MARK_H
#define AGECOMPACT_MARK_H

enum { MARK_MAGIC = 0x41474543 }; /* "AGEC" */

enum {
  MARK_INIT_BEGIN = 1,
  MARK_INIT_END = 2,
  MARK_INFERENCE_BEGIN = 3,
  MARK_INFERENCE_END = 4,
};

#endif
