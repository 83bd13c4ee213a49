/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  wide.h
 * @brief 128-bit numbers for the strategies: a count times a window is up to
 *        83 bits, and nothing here may be rounded.
 */

#ifndef RLX_CORE_WIDE_H
#define RLX_CORE_WIDE_H

#include <stdint.h>

/** An unsigned number of 128 bits. */
__extension__ typedef unsigned __int128 rlx_wide_t;

/** The product of two 64-bit numbers, whole. */
static inline rlx_wide_t rlx_wide_mul(uint64_t a, uint64_t b)
{
    return (rlx_wide_t)a * b;
}

/** x / d, rounded down. Most real limits fit 64 bits, where the processor
 *  divides by itself; only the others pay for the long division. */
static inline rlx_wide_t rlx_wide_div(rlx_wide_t x, uint64_t d)
{
    return (uint64_t)(x >> 64) == 0 ? (uint64_t)x / d : x / d;
}

/** x / d, rounded up; x + d must not overflow. */
static inline rlx_wide_t rlx_wide_div_up(rlx_wide_t x, uint64_t d)
{
    return rlx_wide_div(x + (d - 1), d);
}

#endif /* RLX_CORE_WIDE_H */
