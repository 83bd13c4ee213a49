/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Fuzz target: any bytes as a limit string. What is accepted must be within
 * its bounds and come back unchanged from its canonical form; what is refused
 * must leave a printable sentence.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/limit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fuzz_limit: not so: %s\n", what);
        abort();
    }
}

static void check_limit(const rlx_limit_t *limit)
{
    char error[RLX_LIMIT_ERROR_MAX];
    rlx_limit_t again;

    must(limit->count <= RLX_COUNT_MAX, "count is bounded");
    must(limit->burst == limit->count, "burst is the count");
    must(limit->strategy == RLX_FIXED_WINDOW, "strategy is the default");
    must(limit->window_usec > 0
             && limit->window_usec <= INT64_C(3110400000) * 1000000
             && limit->window_usec % 1000000 == 0,
         "window is whole seconds up to 100 years");
    must(rlx_limits_parse(limit->text, &again, 1, error) == 1,
         "the canonical form is accepted");
    must(memcmp(&again, limit, sizeof(again)) == 0,
         "the canonical form means the same");
}

static void check_error(const char *error)
{
    size_t len = 0;

    must(error[0] != '\0', "an error says something");
    while (len < RLX_LIMIT_ERROR_MAX && error[len] != '\0') {
        must(error[len] >= ' ' && error[len] <= '~', "an error is printable");
        ++len;
    }
    must(len < RLX_LIMIT_ERROR_MAX - 1, "an error is whole");
}

/* Copies of exact size, so that a step past either end is seen. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    char *error = malloc(RLX_LIMIT_ERROR_MAX);
    rlx_limit_t *limits = calloc(RLX_LIMITS_PER_STRING, sizeof(*limits));
    int n;
    int i;

    must(text && error && limits, "there is memory");
    if (size) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    n = rlx_limits_parse(text, limits, RLX_LIMITS_PER_STRING, error);
    must(n == -1 || (n >= 1 && n <= RLX_LIMITS_PER_STRING), "the result");
    for (i = 0; i < n; ++i) {
        check_limit(&limits[i]);
    }
    if (n < 0) {
        check_error(error);
    }
    free(limits);
    free(error);
    free(text);
    return 0;
}
