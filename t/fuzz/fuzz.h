/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  fuzz.h
 * @brief What fuzz targets that take their input apart share: what must hold,
 *        and numbers out of the input.
 */

#ifndef RLX_FUZZ_FUZZ_H
#define RLX_FUZZ_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/strategy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** Abort unless something holds; `what` says what. */
static inline void must(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fuzz: not so: %s\n", what);
        abort();
    }
}

/** What is left of an input. */
typedef struct input_t {
    const uint8_t *at;
    size_t left;
} input_t;

/** A number of so many bytes, 1 to 8; what is not there counts as 0. */
static inline uint64_t take(input_t *in, size_t bytes)
{
    uint64_t number = 0;
    size_t i;

    for (i = 0; i < bytes; ++i) {
        number = number << 8 | (in->left ? *in->at : 0);
        in->at += in->left != 0;
        in->left -= in->left != 0;
    }
    return number;
}

/** What holds of every verdict on a counter, whatever its state was. */
static inline void must_be_verdict(const rlx_verdict_t *v,
                                   const rlx_limit_t *limit, rlx_usec_t now)
{
    uint32_t most = limit->strategy == RLX_GCRA ? limit->burst : limit->count;

    must(v->remaining <= most, "no more remains than there is");
    must(v->has_room || !v->charged, "charged only where there is room");
    must(v->retry_at >= now, "room comes back now or later");
    must(!v->has_room || v->retry_at == now, "and is there now if it fits");
    must(v->reset_at >= now, "it resets now or later");
}

#endif /* RLX_FUZZ_FUZZ_H */
