/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Fuzz target: any bytes as an Accept field. The choice is one of the types or
 * none, and the one that is chosen among all is taken by itself as well.
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/accept.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "fuzz_accept: not so: %s\n", what);
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const types[] = { "application/problem+json",
                                         "application/json", "text/html",
                                         "text/plain", NULL };
    char *accept = malloc(size + 1);
    int choice, any = 0;

    must(accept != NULL, "there is memory");
    if (size) {
        memcpy(accept, data, size);
    }
    accept[size] = '\0';
    choice = rlx_accept_choose(accept, types);
    must(choice >= -1 && choice < 4, "a type or none");
    for (int i = 0; i < 4; i++) {
        const char *const alone[] = { types[i], NULL };
        const char *const pair[] = { types[i], choice < 0 ? types[i]
                                               : types[choice], NULL };
        int taken = rlx_accept_choose(accept, alone) == 0;

        any |= taken;
        must(taken || i != choice, "the best is taken by itself");
        must(choice < 0 || i <= choice || rlx_accept_choose(accept, pair) == 1
                 || rlx_accept_choose(accept, pair) == 0, "a pair");
        must(choice < 0 || i >= choice || rlx_accept_choose(accept, pair) == 1,
             "an earlier one was worse");
    }
    must(any == (choice >= 0), "none is chosen where none is taken");
    free(accept);
    return 0;
}
