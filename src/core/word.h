/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  word.h
 * @brief The 16-byte words that the table of counters is made of.
 *
 *     lo  63                       16 15          2 1 0
 *        | payload, 48 bits          | generation  |tag|
 *     hi | payload, 64 bits                            |
 *
 * A word is changed by nothing but a 128-bit compare-and-swap, and every new
 * value has the next generation. So a value that was read does not come back
 * (short of 16,384 changes in between that end at the same payload), and a
 * compare-and-swap that succeeds proves that nothing happened meanwhile.
 */

#ifndef RLX_CORE_WORD_H
#define RLX_CORE_WORD_H

#include <stdint.h>

#include "core/strategy.h"

/** A word in shared memory, or a copy of one. */
typedef struct rlx_word_t {
    uint64_t lo;
    uint64_t hi;
} __attribute__((aligned(16))) rlx_word_t;

/** What the payload is: a value, or a reference to a step under way. */
#define RLX_WORD_TAG_MASK UINT64_C(3)
#define RLX_WORD_VALUE    UINT64_C(0)
#define RLX_WORD_REF      UINT64_C(1)

#define RLX_WORD_GEN_SHIFT  2
#define RLX_WORD_GEN_BITS   14
#define RLX_WORD_GEN_LIMIT  (UINT64_C(1) << RLX_WORD_GEN_BITS)
#define RLX_WORD_GEN_MASK   ((RLX_WORD_GEN_LIMIT - 1) << RLX_WORD_GEN_SHIFT)
#define RLX_WORD_LOW_SHIFT  16
#define RLX_WORD_LOW_MASK   ((UINT64_C(1) << 48) - 1)

/** One half of a word, as it stands in memory. */
static inline uint64_t rlx_half_load(const uint64_t *half)
{
    return __atomic_load_n(half, __ATOMIC_ACQUIRE);
}

/*
 * The 128-bit compare-and-swap, by hand. Not libatomic's: where the processor
 * has no such instruction that takes a lock, and one that other processes do
 * not see; so does the thread sanitizer's. Not the compiler's own either: on
 * x86-64 that needs a flag (-mcx16); on aarch64 gcc before 10 has none, gcc 12
 * does not compile some of it for ARMv8.1, and where processors are older than
 * that, what it says after a failure may be of two values (see below). The
 * sanitizer cannot look into assembler and is told what it means.
 */
#if defined(__SANITIZE_THREAD__)
#define RLX_WORD_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RLX_WORD_TSAN 1
#endif
#endif

#if defined(RLX_WORD_TSAN)
void __tsan_acquire(void *at);
void __tsan_release(void *at);
#define RLX_WORD_BEFORE(at) __tsan_release(at)
#define RLX_WORD_AFTER(at)  __tsan_acquire(at)
#else
#define RLX_WORD_BEFORE(at) ((void)0)
#define RLX_WORD_AFTER(at)  ((void)0)
#endif

#if defined(__x86_64__)

/* What rlx_word_cas() says, for one processor each. It is a barrier for what
 * the compiler may move, and no load or store passes it. */
static inline int rlx_word_swap(rlx_word_t *at, rlx_word_t *expected,
                                rlx_word_t desired)
{
    unsigned char done;

    __asm__ __volatile__("lock cmpxchg16b %1"
                         : "=@ccz"(done), "+m"(*at), "+a"(expected->lo),
                           "+d"(expected->hi)
                         : "b"(desired.lo), "c"(desired.hi)
                         : "memory");
    return done;
}

#elif defined(__aarch64__)

/* Acquire and release, also after a failure: no more is relied on anywhere.
 * What a load-exclusive of a pair reads is of one piece only if the store that
 * belongs to it succeeds. So there always is one: where the word is another
 * it puts back what was read. */
static inline int rlx_word_swap_exclusive(rlx_word_t *at, rlx_word_t *expected,
                                          rlx_word_t desired)
{
    rlx_word_t found, next;
    uint32_t is_lost;

    __asm__ __volatile__("1: ldaxp %[found_lo], %[found_hi], %[at]\n\t"
                         "cmp %[found_lo], %[old_lo]\n\t"
                         "ccmp %[found_hi], %[old_hi], #0, eq\n\t"
                         "csel %[next_lo], %[new_lo], %[found_lo], eq\n\t"
                         "csel %[next_hi], %[new_hi], %[found_hi], eq\n\t"
                         "stlxp %w[is_lost], %[next_lo], %[next_hi], %[at]\n\t"
                         "cbnz %w[is_lost], 1b"
                         : [at] "+Q"(*at), [found_lo] "=&r"(found.lo),
                           [found_hi] "=&r"(found.hi), [next_lo] "=&r"(next.lo),
                           [next_hi] "=&r"(next.hi), [is_lost] "=&r"(is_lost)
                         : [old_lo] "r"(expected->lo), [old_hi] "r"(expected->hi),
                           [new_lo] "r"(desired.lo), [new_hi] "r"(desired.hi)
                         : "cc", "memory");
    if (found.lo == expected->lo && found.hi == expected->hi) {
        return 1;
    }
    *expected = found;
    return 0;
}

/* The same by the one instruction of ARMv8.1, which is better off where many
 * are at one word. It wants pairs of registers. */
static inline int rlx_word_swap_pair(rlx_word_t *at, rlx_word_t *expected,
                                     rlx_word_t desired)
{
    register uint64_t found_lo __asm__("x0") = expected->lo;
    register uint64_t found_hi __asm__("x1") = expected->hi;
    register uint64_t new_lo __asm__("x2") = desired.lo;
    register uint64_t new_hi __asm__("x3") = desired.hi;

    __asm__ __volatile__(".arch_extension lse\n\t"
                         "caspal %0, %1, %3, %4, %2"
                         : "+r"(found_lo), "+r"(found_hi), "+Q"(*at)
                         : "r"(new_lo), "r"(new_hi)
                         : "memory");
    if (found_lo == expected->lo && found_hi == expected->hi) {
        return 1;
    }
    expected->lo = found_lo;
    expected->hi = found_hi;
    return 0;
}

#if defined(__ARM_FEATURE_ATOMICS)
#define RLX_WORD_HAS_PAIR 1
#else
/** Not 0 if this processor has it; known before main(). */
extern int rlx_word_has_pair __attribute__((visibility("hidden")));
#define RLX_WORD_HAS_PAIR rlx_word_has_pair
#endif

static inline int rlx_word_swap(rlx_word_t *at, rlx_word_t *expected,
                                rlx_word_t desired)
{
    return RLX_WORD_HAS_PAIR ? rlx_word_swap_pair(at, expected, desired)
                             : rlx_word_swap_exclusive(at, expected, desired);
}

#else
#error "mod_ratelimit_ext keeps its counters in 128-bit words that all processes change by one compare-and-swap instruction; it knows that of x86-64 and aarch64 only"
#endif

/**
 * Put `desired` where `expected` stands.
 * @param expected on failure: what stood there, read in one piece
 * @return not 0 on success
 */
static inline int rlx_word_cas(rlx_word_t *at, rlx_word_t *expected,
                               rlx_word_t desired)
{
    int done;

    RLX_WORD_BEFORE(at);
    done = rlx_word_swap(at, expected, desired);
    RLX_WORD_AFTER(at);
    return done;
}

/**
 * Read a word in one piece. The lower half, with its generation, differs
 * after each change: unchanged around the reading of the other half, the two
 * belong together. On aarch64, too: the three loads are in this order, and a
 * word is written by a single-copy atomic store of a processor that is
 * multi-copy atomic; who has seen one half of it sees the other.
 */
static inline rlx_word_t rlx_word_read(const rlx_word_t *at)
{
    rlx_word_t word;

    do {
        word.lo = rlx_half_load(&at->lo);
        word.hi = rlx_half_load(&at->hi);
    } while (rlx_half_load(&at->lo) != word.lo);
    return word;
}

/** Not 0 if two words are the same, generation included. */
static inline int rlx_word_equal(rlx_word_t a, rlx_word_t b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

/** Not 0 if the word refers to a step under way. */
static inline int rlx_word_is_ref(rlx_word_t word)
{
    return (word.lo & RLX_WORD_TAG_MASK) != RLX_WORD_VALUE;
}

/** The generation of a word, 0 to RLX_WORD_GEN_LIMIT - 1. */
static inline uint32_t rlx_word_gen(rlx_word_t word)
{
    return (uint32_t)((word.lo & RLX_WORD_GEN_MASK) >> RLX_WORD_GEN_SHIFT);
}

/** The payload of a value. */
static inline rlx_state_t rlx_word_payload(rlx_word_t word)
{
    rlx_state_t payload;

    payload.hi = word.hi;
    payload.lo = word.lo >> RLX_WORD_LOW_SHIFT;
    return payload;
}

/** The value that comes after `old`: another payload, the next generation. */
static inline rlx_word_t rlx_word_next(rlx_word_t old, rlx_state_t payload)
{
    uint64_t gen = (old.lo + (UINT64_C(1) << RLX_WORD_GEN_SHIFT))
                   & RLX_WORD_GEN_MASK;
    rlx_word_t word;

    word.hi = payload.hi;
    word.lo = (payload.lo << RLX_WORD_LOW_SHIFT) | gen | RLX_WORD_VALUE;
    return word;
}

/** Not 0 if two payloads are the same. */
static inline int rlx_state_equal(rlx_state_t a, rlx_state_t b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

/** Not 0 if all of a payload's bits are 0. */
static inline int rlx_state_is_zero(rlx_state_t state)
{
    return (state.hi | state.lo) == 0;
}

/** Be easy on the processor while somebody else is at it. */
static inline void rlx_word_relax(void)
{
#if defined(__x86_64__)
    __asm__ __volatile__("pause");
#else
    __asm__ __volatile__("yield");
#endif
}

#endif /* RLX_CORE_WORD_H */
