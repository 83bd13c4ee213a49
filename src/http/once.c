/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What has been logged in this child already: a set of hashes that is only
 * added to, without a lock.
 */

#include "http/once.h"

#include <string.h>

/** A power of two. */
#define SLOTS 512
/** How many slots one hash may be in. */
#define PROBES 8

/** Hashes; 0 where there is none yet. */
static apr_uint64_t seen[SLOTS];

static apr_uint64_t hash_of(const rlx_rule_t *rule, const char *text)
{
    rlx_id_t place = rlx_id_of(rlx_secret(), RLX_ID_SECTION, rule->file,
                               strlen(rule->file));
    rlx_id_t said = rlx_id_of(rlx_secret(), RLX_ID_LIMIT, text, strlen(text));
    apr_uint64_t hash = (place.word[0] + (apr_uint64_t)rule->line)
                        * UINT64_C(0x9e3779b97f4a7c15) ^ said.word[0];

    return hash ? hash : 1;
}

int rlx_once(const rlx_rule_t *rule, const char *text)
{
    apr_uint64_t hash = hash_of(rule, text);

    for (int i = 0; i < PROBES; i++) {
        apr_uint64_t *slot = &seen[(hash + (apr_uint64_t)i) % SLOTS];
        apr_uint64_t there = 0;

        if (__atomic_compare_exchange_n(slot, &there, hash, 0,
                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            return 1;
        }
        if (there == hash) {
            return 0;
        }
    }
    return 0;
}
