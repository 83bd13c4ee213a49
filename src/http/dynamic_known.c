/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Which strings limits that are an expression gave. An entry is claimed by
 * counting, written, and then marked as ready; it never changes again. One
 * that a killed child left unready is lost, and two children may write the
 * same: neither does harm.
 */

#include "http/dynamic_known.h"

#include <apr_shm.h>
#include <apr_strings.h>

#include "http_config.h"

#define SEGMENT_NAME "mod_ratelimit_ext: dynamic limits"
#define ENTRIES      1024
#define TEXT_BYTES   248

typedef struct entry_t {
    /** A digest of the expression. */
    apr_uint32_t of;
    /** Not 0: the rest is there. */
    apr_uint32_t is_ready;
    char text[TEXT_BYTES];
} entry_t;

typedef struct segment_t {
    /** How many entries were claimed, or would have been. */
    apr_uint32_t claimed;
    /** Not 0: some string is not there. */
    apr_uint32_t is_incomplete;
    entry_t entries[ENTRIES];
} segment_t;

static segment_t *segment;

/** What is kept over graceful restarts. */
typedef struct retained_t {
    apr_shm_t *shm;
} retained_t;

apr_status_t rlx_dynamic_known_open(server_rec *main_server)
{
    retained_t *retained = ap_retained_data_get(SEGMENT_NAME);
    apr_status_t status = APR_SUCCESS;

    if (!retained) {
        retained = ap_retained_data_create(SEGMENT_NAME, sizeof(*retained));
    }
    if (!retained->shm) {
        status = apr_shm_create(&retained->shm, sizeof(*segment), NULL,
                                main_server->process->pool);
        if (status != APR_SUCCESS) {
            retained->shm = NULL;
            return status;
        }
        memset(apr_shm_baseaddr_get(retained->shm), 0, sizeof(*segment));
    }
    segment = apr_shm_baseaddr_get(retained->shm);
    return status;
}

/** FNV-1a. Expressions that meet are looked for under each other's strings,
 *  too, and not found. */
static apr_uint32_t digest_of(const char *text)
{
    apr_uint32_t digest = 2166136261u;

    while (*text) {
        digest = (digest ^ (unsigned char)*text++) * 16777619u;
    }
    return digest;
}

static int entries_n(void)
{
    apr_uint32_t n = segment ? __atomic_load_n(&segment->claimed,
                                               __ATOMIC_RELAXED) : 0;

    return n < ENTRIES ? (int)n : ENTRIES;
}

static const char *next_of(apr_uint32_t digest, int *at)
{
    for (int n = entries_n(); *at < n;) {
        const entry_t *entry = &segment->entries[(*at)++];

        if (__atomic_load_n(&entry->is_ready, __ATOMIC_ACQUIRE)
            && entry->of == digest) {
            return entry->text;
        }
    }
    return NULL;
}

void rlx_dynamic_known_add(const char *expression, const char *text)
{
    apr_uint32_t digest = digest_of(expression), i;
    const char *known;
    int at = 0;

    if (strlen(text) >= TEXT_BYTES) {
        rlx_dynamic_known_lose();
        return;
    }
    while ((known = next_of(digest, &at)) != NULL) {
        if (!strcmp(known, text)) {
            return;
        }
    }
    i = segment && entries_n() < ENTRIES
        ? __atomic_fetch_add(&segment->claimed, 1, __ATOMIC_RELAXED) : ENTRIES;
    if (i < ENTRIES) {
        entry_t *entry = &segment->entries[i];

        entry->of = digest;
        apr_cpystrn(entry->text, text, TEXT_BYTES);
        __atomic_store_n(&entry->is_ready, 1, __ATOMIC_RELEASE);
    }
    else {
        rlx_dynamic_known_lose();
    }
}

void rlx_dynamic_known_lose(void)
{
    /* Who is short of room comes here for each request: reading is cheap. */
    if (segment && !__atomic_load_n(&segment->is_incomplete,
                                    __ATOMIC_RELAXED)) {
        __atomic_store_n(&segment->is_incomplete, 1, __ATOMIC_RELAXED);
    }
}

const char *rlx_dynamic_known_next(const char *expression, int *at)
{
    return next_of(digest_of(expression), at);
}

int rlx_dynamic_known_is_complete(void)
{
    return segment && !__atomic_load_n(&segment->is_incomplete,
                                       __ATOMIC_RELAXED);
}
