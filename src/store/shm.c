/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The storage shm://: the table of core/table.h in one anonymous segment.
 *
 * The parent makes the segment before the children start, so every child of
 * every generation maps the same memory at the same place. It is kept over
 * graceful restarts for as long as its size stays the same; a changed size
 * makes a new one, and the counters begin anew. There is no file to lose, no
 * name to collide with, and nothing to clean up after a crash.
 */

#include "store/store.h"

#include <apr_general.h>
#include <apr_lib.h>
#include <apr_shm.h>
#include <apr_strings.h>
#include <apr_time.h>

#include "core/table.h"

#define SIZE_DEFAULT_BYTES (32u * 1024 * 1024)
#define SIZE_MAX_BYTES     (UINT64_C(64) * 1024 * 1024 * 1024)
#define LOG_MAX_DEFAULT    10000
#define LOG_MAX_HIGHEST    1000000
/** What the table wants its block to be aligned to. */
#define ALIGN_BYTES        64

/** What is kept over graceful restarts. */
typedef struct segment_t {
    apr_shm_t *shm;
    void *block;
    apr_size_t bytes;
    apr_uint32_t log_max;
} segment_t;

struct rlx_storage_t {
    const rlx_storage_env_t *env;
    /** The URI: what the segment is found by again. */
    const char *name;
    apr_size_t bytes;
    apr_uint32_t log_max;
    apr_pool_t *pool;
    rlx_table_t table;
};

static const char *set_size(rlx_storage_t *store, const char *value)
{
    apr_uint64_t bytes;

    if (!rlx_store_parse_size(value, &bytes) || bytes < RLX_TABLE_BYTES_MIN
        || bytes > SIZE_MAX_BYTES) {
        return apr_psprintf(store->pool, "size=%s is not a size from %dK to "
                            "%dG (as in size=32M)", value,
                            RLX_TABLE_BYTES_MIN / 1024,
                            (int)(SIZE_MAX_BYTES >> 30));
    }
    store->bytes = (apr_size_t)bytes;
    return NULL;
}

static const char *set_log_max(rlx_storage_t *store, const char *value)
{
    char *end;
    apr_int64_t units = apr_strtoi64(value, &end, 10);

    if (!apr_isdigit(*value) || *end || units < 1 || units > LOG_MAX_HIGHEST) {
        return apr_psprintf(store->pool, "log_max=%s is not a number from 1 "
                            "to %d (the highest count of a moving-window "
                            "limit)", value, LOG_MAX_HIGHEST);
    }
    store->log_max = (apr_uint32_t)units;
    return NULL;
}

/** The options and who sets them: parser and error text come from here. */
static const struct {
    const char *name;
    const char *(*set)(rlx_storage_t *store, const char *value);
} shm_options[] = {
    { "size", set_size },
    { "log_max", set_log_max },
};

#define SHM_OPTIONS (sizeof(shm_options) / sizeof(shm_options[0]))

static const char *set_option(rlx_storage_t *store, const char *name,
                              const char *value)
{
    for (apr_size_t i = 0; i < SHM_OPTIONS; i++) {
        if (!strcasecmp(name, shm_options[i].name)) {
            return shm_options[i].set(store, value);
        }
    }
    return apr_psprintf(store->pool, "shm:// has no option \"%s\"; it has "
                        "size= and log_max=", name);
}

static const char *shm_create(rlx_storage_t **instance, const char *uri,
                              const apr_table_t *options,
                              const rlx_storage_env_t *env, apr_pool_t *pconf)
{
    const apr_array_header_t *pairs = apr_table_elts(options);
    const apr_table_entry_t *pair = (const apr_table_entry_t *)pairs->elts;
    rlx_storage_t *store = apr_pcalloc(pconf, sizeof(*store));
    const char *rest = uri + strlen("shm:");

    for (const char *c = rest; *c; c++) {
        if (!apr_isalnum(*c) && !strchr("-_./", *c)) {
            return apr_psprintf(pconf, "\"%s\" is not understood; write "
                                "shm:// or, for more than one table, "
                                "shm://name", rlx_store_shown_uri(uri, pconf));
        }
    }
    store->env = env;
    store->name = uri;
    store->pool = pconf;
    store->bytes = SIZE_DEFAULT_BYTES;
    store->log_max = LOG_MAX_DEFAULT;
    for (int i = 0; i < pairs->nelts; i++) {
        const char *error = set_option(store, pair[i].key, pair[i].val);

        if (error) {
            return error;
        }
    }
    *instance = store;
    return NULL;
}

static const char *shm_refuses(const rlx_storage_t *store,
                               const rlx_limit_t *limit, apr_pool_t *ptemp)
{
    if (limit->strategy != RLX_MOVING_WINDOW
        || limit->count <= store->log_max) {
        return NULL;
    }
    return apr_psprintf(ptemp, "\"%s\" as a moving-window keeps a log of up to "
                        "%u times for each key, and this storage keeps %u: "
                        "raise log_max= of RateLimitStorage shm://, or use "
                        "strategy=sliding-window-counter, which needs no log",
                        limit->text, limit->count, store->log_max);
}

/** Write a line that ends with a formatted text. */
static void say(const rlx_storage_t *store, rlx_log_level_e level,
                apr_status_t status, const char *format)
{
    char line[256];

    apr_snprintf(line, sizeof(line), format, store->name,
                 (unsigned long)(store->bytes / 1024));
    store->env->log(store->env->baton, level, status, line);
}

/** Make a segment and an empty table in it. */
static apr_status_t segment_make(rlx_storage_t *store, segment_t *segment)
{
    rlx_table_options_t options = { store->env->workers, store->log_max };
    rlx_secret_t secret;
    apr_uintptr_t start;
    apr_status_t status;

    status = apr_generate_random_bytes((unsigned char *)&secret,
                                       sizeof(secret));
    if (status == APR_SUCCESS) {
        status = apr_shm_create(&segment->shm, store->bytes + ALIGN_BYTES, NULL,
                                store->env->process_pool);
    }
    if (status != APR_SUCCESS) {
        say(store, RLX_LOG_ERR, status,
            "storage %s: cannot get %lu kB of shared memory; free some, or "
            "make size= smaller");
        segment->shm = NULL;
        return status;
    }
    start = (apr_uintptr_t)apr_shm_baseaddr_get(segment->shm);
    segment->block = (void *)APR_ALIGN(start, (apr_uintptr_t)ALIGN_BYTES);
    segment->bytes = store->bytes;
    segment->log_max = store->log_max;
    if (rlx_table_format(segment->block, segment->bytes, &options, &secret,
                         apr_time_now()) != 0) {
        return APR_EGENERAL;
    }
    return APR_SUCCESS;
}

static apr_status_t shm_open(rlx_storage_t *store)
{
    segment_t *segment = store->env->retain(
        apr_pstrcat(store->pool, "rlx-", store->name, NULL),
        sizeof(*segment));

    if (segment->shm && (segment->bytes != store->bytes
                         || segment->log_max != store->log_max)) {
        say(store, RLX_LOG_NOTICE, APR_SUCCESS,
            "storage %s: size= or log_max= was changed (now %lu kB), so its "
            "counters begin anew");
        /* Children of the old generation keep their own mapping. */
        apr_shm_destroy(segment->shm);
        segment->shm = NULL;
    }
    if (!segment->shm) {
        apr_status_t status = segment_make(store, segment);

        if (status != APR_SUCCESS) {
            return status;
        }
    }
    if (rlx_table_attach(&store->table, segment->block, segment->bytes) != 0) {
        say(store, RLX_LOG_ERR, APR_EGENERAL,
            "storage %s: its %lu kB hold no table of this version of the "
            "module; stop and start the server");
        return APR_EGENERAL;
    }
    return APR_SUCCESS;
}

static apr_status_t shm_child_init(rlx_storage_t *store, apr_pool_t *pchild)
{
    return APR_SUCCESS;
}

static apr_status_t shm_decide(rlx_storage_t *store, rlx_charge_e mode,
                               const rlx_counter_t *counters, int n,
                               rlx_usec_t now, rlx_verdict_t *verdicts,
                               apr_pool_t *ptemp)
{
    rlx_table_decide(&store->table, mode, counters, n, now, verdicts);
    return APR_SUCCESS;
}

static apr_status_t shm_look(rlx_storage_t *store,
                             const rlx_counter_t *counters, int n,
                             rlx_usec_t now, rlx_verdict_t *verdicts,
                             apr_pool_t *ptemp)
{
    rlx_table_look(&store->table, counters, n, now, verdicts);
    return APR_SUCCESS;
}

static apr_status_t shm_give_back(rlx_storage_t *store,
                                  const rlx_counter_t *counters, int n,
                                  rlx_usec_t charged_at, rlx_usec_t now,
                                  apr_pool_t *ptemp)
{
    rlx_table_give_back(&store->table, counters, n, charged_at, now);
    return APR_SUCCESS;
}

static apr_status_t shm_forget(rlx_storage_t *store,
                               const rlx_counter_t *counters, int n,
                               apr_pool_t *ptemp)
{
    for (int i = 0; i < n; i++) {
        rlx_table_forget(&store->table, &counters[i]);
    }
    return APR_SUCCESS;
}

static apr_status_t shm_forget_all(rlx_storage_t *store, const char *prefix,
                                   size_t len, apr_pool_t *ptemp)
{
    rlx_table_forget_all(&store->table);
    return APR_SUCCESS;
}

static apr_status_t shm_figures(rlx_storage_t *store, rlx_usec_t now,
                                rlx_storage_figures_t *figures,
                                apr_pool_t *ptemp)
{
    rlx_table_figures_t table;

    rlx_table_figures(&store->table, now, &table);
    figures->healthy = 1;
    figures->state = "in shared memory";
    figures->size_bytes = store->bytes;
    figures->keys_max = table.slots;
    figures->keys_used = table.used;
    figures->evictions = table.evictions;
    return APR_SUCCESS;
}

const rlx_storage_provider_t rlx_shm_provider = {
    .flags = RLX_STORAGE_ONE_PER_URI | RLX_STORAGE_ALWAYS_ANSWERS,
    .create = shm_create,
    .refuses = shm_refuses,
    .open = shm_open,
    .child_init = shm_child_init,
    .decide = shm_decide,
    .look = shm_look,
    .give_back = shm_give_back,
    .forget = shm_forget,
    .forget_all = shm_forget_all,
    .figures = shm_figures,
};
