/* Classifies an A64 instruction by its 32 bits.
 *
 * It follows the Arm Architecture Reference Manual for A-profile (DDI 0487), chapter C4 "A64
 * Instruction Set Encoding"; each function names its table there. Every instruction is in exactly
 * one class:
 *
 *   load    reads memory into a register; includes atomic read-modify-writes
 *   store   writes a register to memory
 *   mac     multiply-accumulate on SIMD and FP registers. Integer MADD is not included: compilers
 *           use it for addresses, and kernels never for the network
 *   simd    other work on SIMD and FP registers, including moves to and from them
 *   branch  taken or not
 *   other   integer arithmetic, prefetches, system instructions
 *
 * SVE counts as simd; none of the emulated processors has it. */
#ifndef AGECOMPACT_AARCH64_H
#define AGECOMPACT_AARCH64_H

#include <stdbool.h>
#include <stdint.h>

enum { A64_LOAD, A64_STORE, A64_MAC, A64_SIMD, A64_BRANCH, A64_OTHER, A64_CLASSES };

typedef struct {
  int kind;
  unsigned macs; /* Scalar multiply-accumulates; 0 unless `kind` is A64_MAC. */
} A64Work;

static inline uint32_t a64_bits(uint32_t word, int high, int low) {
  return word >> low & ((2U << (high - low)) - 1);
}

/* C4.1 "Branches, Exception Generating and System instructions": 0xD4 raises an exception, 0xD5 is
 * a hint, a barrier or a system register. */
static inline int a64_branch_group(uint32_t word) {
  return a64_bits(word, 31, 25) == 0x6a ? A64_OTHER : A64_BRANCH;
}

/* C4.1 "Loads and Stores". */
static inline int a64_memory_group(uint32_t word) {
  bool vector = a64_bits(word, 26, 26);
  uint32_t size = a64_bits(word, 31, 30), opc = a64_bits(word, 23, 22);
  bool l = a64_bits(word, 22, 22);
  switch (a64_bits(word, 29, 27)) {
    case 1:
      if (vector) return l ? A64_LOAD : A64_STORE; /* LD1..LD4, ST1..ST4. */
      if (a64_bits(word, 24, 24)) return A64_OTHER; /* Memory tags and copies: not emulated. */
      /* Compare and swap share the encoding of exclusives. Bit 21 marks them, except in exclusive
       * pairs, whose size has its high bit set. */
      if (a64_bits(word, 21, 21) && (a64_bits(word, 23, 23) || size < 2)) return A64_LOAD;
      return l ? A64_LOAD : A64_STORE;
    case 3:
      if (a64_bits(word, 24, 24)) /* LDAPR and STLR with an offset. */
        return opc == 0 ? A64_STORE : opc == 2 && size == 3 ? A64_OTHER : A64_LOAD;
      return size == 3 && !vector ? A64_OTHER : A64_LOAD; /* Literal, or its prefetch. */
    case 5:
      return l ? A64_LOAD : A64_STORE; /* Pairs. */
    default: /* 7: single register. */
      if (!a64_bits(word, 24, 24) && a64_bits(word, 21, 21)) {
        uint32_t form = a64_bits(word, 11, 10);
        if (form != 2) return A64_LOAD; /* Atomics, and loads with a signed pointer. */
      }
      if (vector) return opc & 1 ? A64_LOAD : A64_STORE;
      if (opc == 0) return A64_STORE;
      return opc == 2 && size == 3 ? A64_OTHER : A64_LOAD; /* PRFM only prefetches. */
  }
}

/* Lanes of a vector of 64 or 128 bits (Q). */
static inline unsigned a64_lanes(uint32_t word, unsigned lane_bits) {
  return (a64_bits(word, 30, 30) ? 128 : 64) / lane_bits;
}

/* "Advanced SIMD three same", "(FP16)", "(extra)" and "three different": 0Q U 01110. */
static inline unsigned a64_vector_macs(uint32_t word) {
  bool u = a64_bits(word, 29, 29);
  uint32_t size = a64_bits(word, 23, 22);
  unsigned integer = a64_lanes(word, 8U << size);
  if (a64_bits(word, 21, 21) && a64_bits(word, 10, 10)) { /* Three same. */
    uint32_t op = a64_bits(word, 15, 11);
    if (op == 0x12 && size != 3) return integer;                   /* MLA, MLS */
    if (op == 0x19 && !u) return a64_lanes(word, size & 1 ? 64 : 32); /* FMLA, FMLS */
    if (op == (u ? 0x19U : 0x1dU) && !(size & 1)) return a64_lanes(word, 32); /* FMLAL, FMLSL */
    return 0;
  }
  if (a64_bits(word, 21, 21) && a64_bits(word, 11, 10) == 0) { /* Three different. */
    uint32_t op = a64_bits(word, 15, 12);
    bool accumulates = op == 8 || op == 10 || (!u && size != 0 && (op == 9 || op == 11));
    return accumulates && size != 3 ? 8U >> size : 0; /* [SU]ML[AS]L, SQDML[AS]L */
  }
  if (!a64_bits(word, 21, 21) && a64_bits(word, 15, 15) && a64_bits(word, 10, 10)) { /* Extra. */
    uint32_t op = a64_bits(word, 14, 11);
    if (size == 2 && (op == 2 || (op == 3 && !u))) return 4 * a64_lanes(word, 32); /* [SU]DOT */
    if (size == 2 && (op == 4 || (op == 5 && !u))) return 32;                      /* MMLA */
    if (size == 1 && u && op == 15) return 2 * a64_lanes(word, 32);                /* BFDOT */
    if (size == 1 && u && op == 13) return 16;                                     /* BFMMLA */
    if (size == 3 && u && op == 15) return 4;                                      /* BFMLAL */
    if (u && (op == 0 || op == 1)) return integer;                                 /* SQRDML[AS]H */
    if (u && size != 0 && op >= 8 && op < 12) return integer;                      /* FCMLA */
    return 0;
  }
  if (a64_bits(word, 22, 21) == 2 && a64_bits(word, 15, 14) == 0 && a64_bits(word, 10, 10))
    return a64_bits(word, 13, 11) == 1 && !u ? a64_lanes(word, 16) : 0; /* FMLA, FMLS, half. */
  return 0;
}

/* "Advanced SIMD vector x indexed element": 0Q U 01111, bit 10 clear. */
static inline unsigned a64_element_macs(uint32_t word) {
  bool u = a64_bits(word, 29, 29);
  uint32_t size = a64_bits(word, 23, 22), op = a64_bits(word, 15, 12);
  unsigned integer = a64_lanes(word, 8U << size);
  switch (op) {
    case 0: case 4: /* MLA, MLS; FMLAL, FMLSL */
      return u ? integer : size == 2 ? a64_lanes(word, 32) : 0;
    case 8: case 12: /* MUL and SQDMULH without U; FMLAL2, FMLSL2 */
      return u && size == 2 ? a64_lanes(word, 32) : 0;
    case 1: case 5: /* FMLA, FMLS; with U, FCMLA */
      if (u) return integer;
      return a64_lanes(word, size == 0 ? 16 : size == 2 ? 32 : 64);
    case 2: case 6: /* [SU]MLAL, [SU]MLSL */
      return 8U >> size;
    case 3: case 7: /* SQDMLAL, SQDMLSL; with U, FCMLA */
      return u ? integer : 8U >> size;
    case 13: /* SQRDMLAH; without U, SQRDMULH */
      return u ? integer : 0;
    case 14: /* SDOT, UDOT */
      return 4 * a64_lanes(word, 32);
    case 15: /* SQRDMLSH; SUDOT, BFDOT, USDOT, BFMLAL */
      return u ? integer : size == 1 ? 2 * a64_lanes(word, 32)
                         : size == 3 ? 4 : 4 * a64_lanes(word, 32);
    default:
      return 0;
  }
}

/* C4.1 "Data Processing -- Scalar Floating-Point and Advanced SIMD". */
static inline A64Work a64_simd_group(uint32_t word) {
  unsigned macs = 0;
  uint32_t top = a64_bits(word, 28, 24);
  if (!a64_bits(word, 31, 31)) {
    bool scalar = a64_bits(word, 30, 30), element = !a64_bits(word, 10, 10);
    uint32_t op = a64_bits(word, 15, 12);
    if (top == 0x0e) macs = a64_vector_macs(word);
    if (top == 0x0f && element) macs = a64_element_macs(word);
    /* FMADD, FMSUB, FNMADD, FNMSUB; and FMLA, FMLS of one lane by an element. */
    if (top == 0x1f) macs = !scalar || (element && !a64_bits(word, 29, 29) && (op == 1 || op == 5));
  }
  return (A64Work){macs ? A64_MAC : A64_SIMD, macs};
}

/* C4.1: the main encoding table, on bits 28 to 25. */
static inline A64Work a64_classify(uint32_t word) {
  uint32_t group = a64_bits(word, 28, 25);
  if ((group & 7) == 7) return a64_simd_group(word);
  if ((group & 5) == 4) return (A64Work){a64_memory_group(word), 0};
  if ((group & 14) == 10) return (A64Work){a64_branch_group(word), 0};
  return (A64Work){group == 2 ? A64_SIMD : A64_OTHER, 0};
}

#endif
