/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * A storage that breaks when it is told to, for the tests; and an example of
 * a storage in a module of its own, which needs ratelimit_storage.h alone.
 *
 *     RateLimitStorage toy://[name] [rows=1000] [down=FILE] [pretend=on]
 *
 * Counters are rows of a table in shared memory, found by their text, one
 * after the other, and under a mutex: nothing for a real server. Fixed
 * windows are all it keeps; with pretend=on it takes limits of all strategies
 * and counts them so. While FILE exists no call is answered; if FILE
 * holds names of calls ("give_back look"), those alone are not, and if it
 * holds a part of a scope, those about such counters alone. Each call that
 * fails is logged at info, each charge at debug.
 */

#include "ratelimit_storage.h"

#include "httpd.h"
#include "http_config.h"
#include "ap_provider.h"

#include <apr_file_io.h>
#include <apr_lib.h>
#include <apr_proc_mutex.h>
#include <apr_sha1.h>
#include <apr_shm.h>
#include <apr_strings.h>

#define ROWS_DEFAULT 1000
#define ROWS_MAX     100000
/** Longer names are told apart by their digest. */
#define NAME_MAX_BYTES 500

/** One counter. Not in use: ends_at is 0. */
typedef struct row_t {
    rlx_usec_t ends_at;
    rlx_usec_t window_usec;
    apr_uint32_t used;
    apr_uint32_t name_len;
    char name[NAME_MAX_BYTES];
} row_t;

/** What is kept over graceful restarts. */
typedef struct kept_t {
    apr_shm_t *shm;
    apr_proc_mutex_t *mutex;
    int rows;
} kept_t;

struct rlx_storage_t {
    const rlx_storage_env_t *env;
    const char *uri;
    const char *down;
    int pretends;
    int rows;
    apr_pool_t *pconf;
    kept_t *kept;
    row_t *table;
};

/** The name of a counter: its parts with their lengths, so that no two
 *  counters share one. */
typedef struct name_t {
    const char *text;
    apr_size_t len;
} name_t;

static const char *set_option(rlx_storage_t *toy, const char *name,
                              const char *value)
{
    if (!strcasecmp(name, "down")) {
        toy->down = value;
        return NULL;
    }
    if (!strcasecmp(name, "pretend") && !strcasecmp(value, "on")) {
        toy->pretends = 1;
        return NULL;
    }
    if (!strcasecmp(name, "rows")) {
        char *end;
        apr_int64_t rows = apr_strtoi64(value, &end, 10);

        if (!apr_isdigit(*value) || *end || rows < 1 || rows > ROWS_MAX) {
            return apr_psprintf(toy->pconf, "rows=%s is not a number from 1 "
                                "to %d", value, ROWS_MAX);
        }
        toy->rows = (int)rows;
        return NULL;
    }
    return apr_psprintf(toy->pconf, "toy:// has no option \"%s\"; it has "
                        "rows=, down= and pretend=on", name);
}

static const char *toy_create(rlx_storage_t **instance, const char *uri,
                              const apr_table_t *options,
                              const rlx_storage_env_t *env, apr_pool_t *pconf)
{
    const apr_array_header_t *pairs = apr_table_elts(options);
    const apr_table_entry_t *pair = (const apr_table_entry_t *)pairs->elts;
    rlx_storage_t *toy = apr_pcalloc(pconf, sizeof(*toy));

    toy->env = env;
    toy->uri = uri;
    toy->rows = ROWS_DEFAULT;
    toy->pconf = pconf;
    for (int i = 0; i < pairs->nelts; i++) {
        const char *error = set_option(toy, pair[i].key, pair[i].val);

        if (error) {
            return error;
        }
    }
    *instance = toy;
    return NULL;
}

static const char *toy_refuses(const rlx_storage_t *toy,
                               const rlx_limit_t *limit, apr_pool_t *ptemp)
{
    if (limit->strategy == RLX_FIXED_WINDOW || toy->pretends) {
        return NULL;
    }
    return apr_psprintf(ptemp, "\"%s\": toy:// counts by fixed-window alone; "
                        "use that, or another storage", limit->text);
}

static apr_status_t kept_make(const rlx_storage_t *toy, kept_t *kept)
{
    apr_pool_t *pool = toy->env->process_pool;
    apr_size_t bytes = sizeof(row_t) * (apr_size_t)toy->rows;
    apr_status_t status = apr_shm_create(&kept->shm, bytes, NULL, pool);

    if (status == APR_SUCCESS) {
        memset(apr_shm_baseaddr_get(kept->shm), 0, bytes);
        kept->rows = toy->rows;
        /* Of this kind since it excludes threads too, and needs no file that
         * the children's user would have to be given. */
        status = apr_proc_mutex_create(&kept->mutex, NULL,
                                       APR_LOCK_PROC_PTHREAD, pool);
    }
    if (status != APR_SUCCESS) {
        toy->env->log(toy->env->baton, RLX_LOG_ERR, status,
                      "toy storage: no shared memory or no mutex");
        kept->shm = NULL;
    }
    return status;
}

static apr_status_t toy_open(rlx_storage_t *toy)
{
    kept_t *kept = toy->env->retain(apr_pstrcat(toy->pconf, "mod_ratelimit_toy: ",
                                                toy->uri, NULL),
                                    sizeof(*kept));

    /* Old children keep their own mapping. */
    if (kept->shm && kept->rows != toy->rows) {
        apr_shm_destroy(kept->shm);
        kept->shm = NULL;
    }
    if (!kept->shm) {
        apr_status_t status = kept_make(toy, kept);

        if (status != APR_SUCCESS) {
            return status;
        }
    }
    toy->kept = kept;
    toy->table = apr_shm_baseaddr_get(kept->shm);
    return APR_SUCCESS;
}

/** What is to fail now: names of calls, "" for all of them; NULL: nothing. */
static const char *failing(const rlx_storage_t *toy, apr_pool_t *p)
{
    apr_file_t *file;
    apr_size_t len = 100;
    char *calls = apr_pcalloc(p, len + 1);

    if (!toy->down
        || apr_file_open(&file, toy->down, APR_FOPEN_READ, 0, p)
           != APR_SUCCESS) {
        return NULL;
    }
    apr_file_read(file, calls, &len);
    apr_file_close(file);
    return calls;
}

/** Not 0 if a counter's scope has a part. */
static int is_meant(const rlx_counter_t *counters, int n, const char *part)
{
    for (int i = 0; i < n; i++) {
        if (strstr(counters[i].scope, part)) {
            return 1;
        }
    }
    return 0;
}

/** Not 0 if a call of this name, about these counters, is to fail now. */
static int is_down(const rlx_storage_t *toy, const char *call,
                   const rlx_counter_t *counters, int n, apr_pool_t *p)
{
    const char *what = failing(toy, p);

    if (!what || (*what && !strstr(what, call)
                  && !is_meant(counters, n, what))) {
        return 0;
    }
    toy->env->log(toy->env->baton, RLX_LOG_INFO, APR_SUCCESS,
                  apr_pstrcat(p, "toy storage: ", call, " fails", NULL));
    return 1;
}

/* Fails only if it is named: who comes while the storage is away may find it
 * there later. */
static apr_status_t toy_child_init(rlx_storage_t *toy, apr_pool_t *pchild)
{
    const char *calls = failing(toy, pchild);

    if (calls && strstr(calls, "child_init")) {
        return APR_ECONNREFUSED;
    }
    return apr_proc_mutex_child_init(&toy->kept->mutex, NULL, pchild);
}

/** Take the mutex, unless the call is to fail. */
static apr_status_t begin(const rlx_storage_t *toy, const char *call,
                          const rlx_counter_t *counters, int n, apr_pool_t *p)
{
    return is_down(toy, call, counters, n, p)
           ? APR_ECONNREFUSED : apr_proc_mutex_lock(toy->kept->mutex);
}

static apr_status_t end(const rlx_storage_t *toy)
{
    return apr_proc_mutex_unlock(toy->kept->mutex);
}

/** A limit with a name keeps what was used when its count is edited; the name
 *  is in the scope. */
static name_t name_of(const rlx_counter_t *counter, apr_pool_t *p)
{
    const char *limit = counter->is_named
        ? apr_psprintf(p, "%" APR_INT64_T_FMT, counter->limit->window_usec)
        : counter->limit->text;
    apr_size_t limit_len = strlen(limit);
    name_t name;
    char *out = apr_psprintf(p, "%" APR_SIZE_T_FMT ",%" APR_SIZE_T_FMT ",",
                             counter->scope_len, counter->key_len);
    apr_size_t head_len = strlen(out);
    char *text;

    name.len = head_len + counter->scope_len + counter->key_len + limit_len;
    name.text = text = apr_palloc(p, name.len);
    memcpy(text, out, head_len);
    memcpy(text += head_len, counter->scope, counter->scope_len);
    memcpy(text += counter->scope_len, counter->key, counter->key_len);
    memcpy(text += counter->key_len, limit, limit_len);
    if (name.len > NAME_MAX_BYTES) {
        unsigned char *digest = apr_palloc(p, APR_SHA1_DIGESTSIZE);
        apr_sha1_ctx_t sha1;

        apr_sha1_init(&sha1);
        apr_sha1_update_binary(&sha1, (const unsigned char *)name.text,
                               (unsigned int)name.len);
        apr_sha1_final(digest, &sha1);
        name.text = (const char *)digest;
        name.len = APR_SHA1_DIGESTSIZE;
    }
    return name;
}

/** The row of a name; NULL if there is none whose window goes on. */
static row_t *row_find(const rlx_storage_t *toy, name_t name, rlx_usec_t now)
{
    for (int i = 0; i < toy->rows; i++) {
        row_t *row = &toy->table[i];

        if (row->ends_at > now && row->name_len == name.len
            && !memcmp(row->name, name.text, name.len)) {
            return row;
        }
    }
    return NULL;
}

/** A row for a new window: the one that ends first goes. */
static row_t *row_begin(const rlx_storage_t *toy, name_t name,
                        rlx_usec_t window_usec, rlx_usec_t now)
{
    row_t *row = toy->table;

    for (int i = 1; i < toy->rows; i++) {
        if (toy->table[i].ends_at < row->ends_at) {
            row = &toy->table[i];
        }
    }
    row->ends_at = now + window_usec;
    row->window_usec = window_usec;
    row->used = 0;
    row->name_len = (apr_uint32_t)name.len;
    memcpy(row->name, name.text, name.len);
    return row;
}

/** The verdict where nothing is charged. */
static void judge(const row_t *row, const rlx_counter_t *counter,
                  rlx_usec_t now, rlx_verdict_t *verdict)
{
    const rlx_limit_t *limit = counter->limit;
    apr_uint32_t used = row ? row->used : 0;
    apr_uint32_t left = used < limit->count ? limit->count - used : 0;

    verdict->has_room = limit->count && counter->cost <= left;
    verdict->charged = 0;
    verdict->remaining = left;
    verdict->reset_at = row ? row->ends_at : now;
    verdict->decided_at = now;
    verdict->retry_at = verdict->has_room ? now
                        : row && counter->cost <= limit->count ? row->ends_at
                        : RLX_NEVER;
}

static void charge(const rlx_storage_t *toy, const rlx_counter_t *counter,
                   rlx_usec_t now, rlx_verdict_t *verdict, apr_pool_t *p)
{
    name_t name = name_of(counter, p);
    row_t *row = row_find(toy, name, now);

    if (!row) {
        row = row_begin(toy, name, counter->limit->window_usec, now);
    }
    row->used += counter->cost;
    verdict->charged = 1;
    verdict->remaining = counter->limit->count - row->used;
    verdict->reset_at = row->ends_at;
    toy->env->log(toy->env->baton, RLX_LOG_DEBUG, APR_SUCCESS,
                  apr_psprintf(p, "toy storage: %u to scope <%s> key <%s> "
                               "limit <%s>", counter->cost, counter->scope,
                               counter->key, counter->limit->text));
}

static void judge_all(const rlx_storage_t *toy, const rlx_counter_t *counters,
                      int n, rlx_usec_t now, rlx_verdict_t *verdicts,
                      apr_pool_t *p)
{
    for (int i = 0; i < n; i++) {
        const row_t *row = row_find(toy, name_of(&counters[i], p), now);

        judge(row, &counters[i], now, &verdicts[i]);
    }
}

/** How many of the counters, from the first on, are looked at for charging. */
static int charged_up_to(rlx_charge_e mode, const rlx_verdict_t *verdicts,
                         int n)
{
    for (int i = 0; i < n && mode != RLX_CHARGE_ALL; i++) {
        if (!verdicts[i].has_room) {
            return mode == RLX_CHARGE_ATOMIC ? 0 : i;
        }
    }
    return n;
}

static apr_status_t toy_decide(rlx_storage_t *toy, rlx_charge_e mode,
                               const rlx_counter_t *counters, int n,
                               rlx_usec_t now, rlx_verdict_t *verdicts,
                               apr_pool_t *ptemp)
{
    apr_status_t status = begin(toy, "decide", counters, n, ptemp);
    int up_to;

    if (status != APR_SUCCESS) {
        return status;
    }
    judge_all(toy, counters, n, now, verdicts, ptemp);
    up_to = charged_up_to(mode, verdicts, n);
    for (int i = 0; i < up_to; i++) {
        if (verdicts[i].has_room && counters[i].cost
            && !counters[i].only_test) {
            charge(toy, &counters[i], now, &verdicts[i], ptemp);
        }
    }
    return end(toy);
}

static apr_status_t toy_look(rlx_storage_t *toy, const rlx_counter_t *counters,
                             int n, rlx_usec_t now, rlx_verdict_t *verdicts,
                             apr_pool_t *ptemp)
{
    apr_status_t status = begin(toy, "look", counters, n, ptemp);

    if (status != APR_SUCCESS) {
        return status;
    }
    judge_all(toy, counters, n, now, verdicts, ptemp);
    return end(toy);
}

static apr_status_t toy_give_back(rlx_storage_t *toy,
                                  const rlx_counter_t *counters, int n,
                                  rlx_usec_t charged_at, rlx_usec_t now,
                                  apr_pool_t *ptemp)
{
    apr_status_t status = begin(toy, "give_back", counters, n, ptemp);

    if (status != APR_SUCCESS) {
        return status;
    }
    for (int i = 0; i < n && now >= charged_at; i++) {
        row_t *row = row_find(toy, name_of(&counters[i], ptemp), now);

        /* Only in the window that was charged. */
        if (row && row->ends_at - row->window_usec <= charged_at
            && !counters[i].only_test && row->used >= counters[i].cost) {
            row->used -= counters[i].cost;
            row->ends_at = row->used ? row->ends_at : 0;
        }
    }
    return end(toy);
}

static apr_status_t toy_forget(rlx_storage_t *toy,
                               const rlx_counter_t *counters, int n,
                               apr_pool_t *ptemp)
{
    apr_status_t status = begin(toy, "forget", counters, n, ptemp);

    if (status != APR_SUCCESS) {
        return status;
    }
    for (int i = 0; i < n; i++) {
        row_t *row = row_find(toy, name_of(&counters[i], ptemp), 0);

        if (row) {
            row->ends_at = 0;
        }
    }
    return end(toy);
}

static apr_status_t toy_forget_all(rlx_storage_t *toy, const char *prefix,
                                   size_t len, apr_pool_t *ptemp)
{
    apr_status_t status = begin(toy, "forget_all", NULL, 0, ptemp);

    if (status != APR_SUCCESS) {
        return status;
    }
    memset(toy->table, 0, sizeof(row_t) * (apr_size_t)toy->rows);
    return end(toy);
}

static apr_status_t toy_figures(rlx_storage_t *toy, rlx_usec_t now,
                                rlx_storage_figures_t *figures,
                                apr_pool_t *ptemp)
{
    memset(figures, 0, sizeof(*figures));
    figures->healthy = !is_down(toy, "figures", NULL, 0, ptemp);
    figures->state = figures->healthy ? "a toy" : "a broken toy";
    figures->size_bytes = sizeof(row_t) * (apr_size_t)toy->rows;
    figures->keys_max = (apr_uint64_t)toy->rows;
    for (int i = 0; i < toy->rows; i++) {
        figures->keys_used += toy->table[i].ends_at > now;
    }
    return APR_SUCCESS;
}

static const rlx_storage_provider_t toy_provider = {
    .flags = RLX_STORAGE_WANTS_TEXT | RLX_STORAGE_ONE_PER_URI,
    .create = toy_create,
    .refuses = toy_refuses,
    .open = toy_open,
    .child_init = toy_child_init,
    .decide = toy_decide,
    .look = toy_look,
    .give_back = toy_give_back,
    .forget = toy_forget,
    .forget_all = toy_forget_all,
    .figures = toy_figures,
};

static void register_hooks(apr_pool_t *p)
{
    ap_register_provider(p, RLX_STORAGE_GROUP, "toy", RLX_STORAGE_VERSION,
                         &toy_provider);
}

AP_DECLARE_MODULE(ratelimit_toy) = {
    STANDARD20_MODULE_STUFF, NULL, NULL, NULL, NULL, NULL, register_hooks
};
