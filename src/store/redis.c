/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The storage redis://: one Redis server whose counters all who use it share.
 * A call is one script on one connection, within one time; see redis_script.h
 * for what the script does and redis_key.h for how counters are named.
 */

#include "store/store.h"

#include <apr_strings.h>

#include "store/redis_uri.h"

const char *const rlx_redis_schemes[] = {
    "redis", "rediss", "redis+unix", "valkey", "valkeys", "valkey+unix", NULL
};

#if RLX_HAVE_HIREDIS

#include <apr_thread_mutex.h>

#include "store/redis_address.h"
#include "store/redis_pool.h"
#include "store/redis_script.h"
#include "store/redis_tls.h"

/** Keys that one step of forgetting all looks at. */
#define SCAN_COUNT "1000"
/** How long forgetting all may take; who waits for it is an administrator. */
#define FORGET_ALL_USEC (10 * 1000000)

struct rlx_storage_t {
    rlx_redis_settings_t settings;
    rlx_redis_scripts_t scripts;
    rlx_redis_place_t place;
    /** What a request's pool remembers its time by. */
    const char *budget_key;
    const rlx_storage_env_t *env;
    apr_pool_t *pconf;
    /** Of this child. */
    rlx_redis_pool_t *pool;
    /** NULL with a socket's path. */
    rlx_redis_lookup_t *lookup;
    /** Guards the words about the last failure. */
    apr_thread_mutex_t *mutex;
    rlx_redis_why_t why;
};

/*
 * Making
 */

static const char *redis_create(rlx_storage_t **instance, const char *uri,
                                const apr_table_t *options,
                                const rlx_storage_env_t *env,
                                apr_pool_t *pconf)
{
    const apr_array_header_t *pairs = apr_table_elts(options);
    const apr_table_entry_t *pair = (const apr_table_entry_t *)pairs->elts;
    rlx_storage_t *store = apr_pcalloc(pconf, sizeof(*store));
    rlx_redis_settings_t *settings = &store->settings;
    const char *error;

    rlx_redis_settings_init(settings);
    error = rlx_redis_uri_parse(settings, uri, pconf);
    if (error) {
        return apr_psprintf(pconf, "\"%s\": %s",
                            rlx_store_shown_uri(uri, pconf), error);
    }
    for (int i = 0; i < pairs->nelts && !error; i++) {
        error = rlx_redis_option_set(settings, pair[i].key, pair[i].val,
                                     pconf);
    }
    if (!error) {
        error = rlx_redis_settings_check(settings, pconf);
    }
    if (!error && settings->is_tls) {
        error = rlx_redis_tls_make(settings, pconf);
        error = error ? apr_psprintf(pconf, "\"%s\": %s",
                                     rlx_store_shown_uri(uri, pconf), error)
                      : NULL;
    }
    if (error) {
        return error;
    }
    store->env = env;
    store->pconf = pconf;
    store->budget_key = apr_psprintf(pconf, "rlx-redis-%pp", (void *)store);
    rlx_redis_scripts_init(&store->scripts);
    *instance = store;
    return NULL;
}

static const char *redis_refuses(const rlx_storage_t *store,
                                 const rlx_limit_t *limit, apr_pool_t *ptemp)
{
    if (limit->strategy != RLX_MOVING_WINDOW
        || limit->count <= store->settings.log_max) {
        return NULL;
    }
    return apr_psprintf(ptemp, "\"%s\" as a moving-window keeps a log of up to "
                        "%u times for each key, and this storage keeps %u: "
                        "raise log_max= of RateLimitStorage, or use "
                        "strategy=sliding-window-counter, which needs no log",
                        limit->text, limit->count, store->settings.log_max);
}

static apr_status_t redis_open(rlx_storage_t *store)
{
    const rlx_redis_settings_t *settings = &store->settings;

    store->place.port = settings->port;
    store->place.path = settings->path;
    if (!settings->path
        && !rlx_redis_address_find(settings->host, &store->place)) {
        store->env->log(store->env->baton, RLX_LOG_WARNING, APR_SUCCESS,
                        apr_pstrcat(store->pconf, "storage redis: the host ",
                                    settings->host, " has no address", NULL));
    }
    return APR_SUCCESS;
}

/* Not the child's pool: httpd destroys that while threads may still be at
 * work, and this one not before the process ends. */
static apr_status_t redis_child_init(rlx_storage_t *store, apr_pool_t *pchild)
{
    apr_status_t status = apr_thread_mutex_create(
        &store->mutex, APR_THREAD_MUTEX_DEFAULT, store->pconf);

    if (store->settings.host) {
        store->lookup = rlx_redis_lookup_make(store->settings.host);
    }
    return status != APR_SUCCESS ? status
           : rlx_redis_pool_make(&store->pool, &store->settings,
                                 &store->place, store->pconf);
}

/*
 * Asking
 */

static apr_status_t failed(rlx_storage_t *store, apr_status_t status,
                           const rlx_redis_why_t *why)
{
    apr_thread_mutex_lock(store->mutex);
    store->why = *why;
    apr_thread_mutex_unlock(store->mutex);
    if (store->lookup) {
        rlx_redis_lookup_begin(store->lookup);
    }
    return status;
}

static const char *redis_trouble(const rlx_storage_t *store, apr_pool_t *ptemp)
{
    const char *text;

    if (!store->mutex) {
        return NULL;
    }
    apr_thread_mutex_lock(store->mutex);
    text = store->why.text[0] ? apr_pstrdup(ptemp, store->why.text) : NULL;
    apr_thread_mutex_unlock(store->mutex);
    return text;
}

/** The time that the calls of one request take together. */
typedef struct budget_t {
    rlx_usec_t left;
} budget_t;

/** A call within it. */
typedef struct timed_t {
    budget_t *budget;
    rlx_usec_t begin;
    rlx_usec_t deadline;
} timed_t;

/** Begin a call. A request's calls are known by its pool. */
static timed_t begin_call(const rlx_storage_t *store, apr_pool_t *ptemp)
{
    timed_t timed;
    void *found = NULL;

    apr_pool_userdata_get(&found, store->budget_key, ptemp);
    timed.budget = found;
    if (!found) {
        timed.budget = apr_palloc(ptemp, sizeof(*timed.budget));
        timed.budget->left = store->settings.timeout_usec;
        apr_pool_userdata_setn(timed.budget, store->budget_key, NULL, ptemp);
    }
    timed.begin = rlx_redis_clock();
    timed.deadline = timed.begin + timed.budget->left;
    return timed;
}

static void end_call(const timed_t *timed)
{
    timed->budget->left -= rlx_redis_clock() - timed->begin;
}

/** Counters of a call, none twice. Large: only `n` is set at first. */
typedef struct batch_t {
    rlx_redis_key_t keys[RLX_STORAGE_BATCH_MAX];
    const rlx_counter_t *counters[RLX_STORAGE_BATCH_MAX];
    int n;
    /** For each counter of the call: which of these it is. */
    int which[RLX_STORAGE_BATCH_MAX];
} batch_t;

static int find_key(const batch_t *batch, rlx_redis_key_t key)
{
    int i;

    for (i = 0; i < batch->n; i++) {
        if (batch->keys[i].len == key.len
            && !memcmp(batch->keys[i].text, key.text, key.len)) {
            break;
        }
    }
    return i;
}

static void batch_add(batch_t *batch, const rlx_storage_t *store,
                      const rlx_counter_t *counter, int nth, apr_pool_t *ptemp)
{
    rlx_redis_key_t key = rlx_redis_key_of(
        counter, store->settings.stores_plain, ptemp);
    int i = find_key(batch, key);

    batch->which[nth] = i;
    if (i == batch->n) {
        batch->keys[i] = key;
        batch->counters[i] = counter;
        batch->n++;
    }
}

/** Take a connection. After a failure the name of the host is looked up, and
 *  once that is done connections go where it leads. */
static apr_status_t take(rlx_storage_t *store, rlx_redis_conn_t **conn,
                         rlx_usec_t deadline, rlx_redis_why_t *why)
{
    rlx_redis_place_t place = store->place;

    if (store->lookup && rlx_redis_lookup_take(store->lookup, &place)) {
        rlx_redis_pool_move(store->pool, &place);
    }
    return rlx_redis_pool_take(store->pool, conn, deadline, why);
}

/** Run a script on a connection of the pool; its reply goes to `read`. */
static apr_status_t run(rlx_storage_t *store, rlx_redis_command_t *command,
                        const rlx_redis_script_t *script, const timed_t *timed,
                        const char *(*read)(const redisReply *reply,
                                            void *baton),
                        void *baton)
{
    rlx_redis_conn_t *conn;
    rlx_redis_why_t why;
    redisReply *reply;
    const char *wrong;
    apr_status_t status;

    if (timed->budget->left <= 0) {
        rlx_redis_why(&why, "earlier calls of the request took all its time");
        return failed(store, APR_TIMEUP, &why);
    }
    status = take(store, &conn, timed->deadline, &why);
    if (status != APR_SUCCESS) {
        end_call(timed);
        return failed(store, status, &why);
    }
    status = rlx_redis_run(conn, command, script, timed->deadline, &reply,
                           &why);
    if (status == APR_SUCCESS) {
        wrong = read(reply, baton);
        freeReplyObject(reply);
        if (wrong) {
            status = rlx_redis_nonsense(conn, wrong, &why);
        }
    }
    rlx_redis_pool_give(store->pool, conn);
    end_call(timed);
    return status == APR_SUCCESS ? status : failed(store, status, &why);
}

/** A call that decides, for its reply. */
typedef struct deciding_t {
    const batch_t *batch;
    int mode;
    rlx_usec_t now;
    rlx_verdict_t *verdicts;
} deciding_t;

static const char *read_decision(const redisReply *reply, void *baton)
{
    const deciding_t *d = baton;

    return rlx_redis_verdicts(reply, d->mode, d->batch->counters, d->batch->n,
                              d->now, d->verdicts);
}

static apr_status_t decide_as(rlx_storage_t *store, int mode,
                              const rlx_counter_t *counters, int n,
                              rlx_usec_t now, rlx_verdict_t *verdicts,
                              apr_pool_t *ptemp)
{
    timed_t timed = begin_call(store, ptemp);
    rlx_verdict_t told[RLX_STORAGE_BATCH_MAX];
    batch_t batch;
    deciding_t deciding = { &batch, mode, now, told };
    rlx_redis_command_t command;
    apr_status_t status;

    batch.n = 0;
    for (int i = 0; i < n; i++) {
        batch_add(&batch, store, &counters[i], i, ptemp);
    }
    rlx_redis_decide_command(&command, &store->scripts, mode, batch.keys,
                             batch.counters, batch.n, ptemp);
    status = run(store, &command, &store->scripts.decide, &timed,
                 read_decision, &deciding);
    for (int i = 0; i < n && status == APR_SUCCESS; i++) {
        verdicts[i] = told[batch.which[i]];
    }
    return status;
}

static apr_status_t redis_decide(rlx_storage_t *store, rlx_charge_e mode,
                                 const rlx_counter_t *counters, int n,
                                 rlx_usec_t now, rlx_verdict_t *verdicts,
                                 apr_pool_t *ptemp)
{
    return decide_as(store, mode, counters, n, now, verdicts, ptemp);
}

static apr_status_t redis_look(rlx_storage_t *store,
                               const rlx_counter_t *counters, int n,
                               rlx_usec_t now, rlx_verdict_t *verdicts,
                               apr_pool_t *ptemp)
{
    return decide_as(store, RLX_REDIS_LOOK, counters, n, now, verdicts,
                     ptemp);
}

static const char *read_number(const redisReply *reply, void *baton)
{
    return reply->type == REDIS_REPLY_INTEGER ? NULL : "no number";
}

static apr_status_t redis_give_back(rlx_storage_t *store,
                                    const rlx_counter_t *counters, int n,
                                    rlx_usec_t charged_at, rlx_usec_t now,
                                    apr_pool_t *ptemp)
{
    timed_t timed = begin_call(store, ptemp);
    batch_t batch;
    rlx_redis_command_t command;

    batch.n = 0;
    for (int i = 0; i < n; i++) {
        if (counters[i].cost && !counters[i].only_test
            && counters[i].limit->count) {
            batch_add(&batch, store, &counters[i], i, ptemp);
        }
    }
    if (!batch.n) {
        return APR_SUCCESS;
    }
    rlx_redis_give_back_command(&command, &store->scripts, batch.keys,
                                batch.counters, batch.n, charged_at, ptemp);
    return run(store, &command, &store->scripts.give_back, &timed,
               read_number, NULL);
}

/*
 * For administrators
 */

/** Ask something that is no script. The reply is to be freed. */
static apr_status_t ask(rlx_storage_t *store, rlx_redis_conn_t *conn,
                        rlx_redis_command_t *command, rlx_usec_t deadline,
                        int type, redisReply **reply, rlx_redis_why_t *why)
{
    apr_status_t status = rlx_redis_ask(conn, command, deadline, reply, why);

    if (status != APR_SUCCESS || (*reply)->type == type) {
        return status;
    }
    status = (*reply)->type == REDIS_REPLY_ERROR
             ? rlx_redis_refused(conn, *reply, why)
             : rlx_redis_nonsense(conn, "of another kind", why);
    freeReplyObject(*reply);
    return status;
}

/** Delete keys. */
static apr_status_t delete_keys(rlx_storage_t *store, rlx_redis_conn_t *conn,
                                const rlx_redis_key_t *keys, int n,
                                rlx_usec_t deadline, rlx_redis_why_t *why,
                                apr_pool_t *ptemp)
{
    apr_size_t parts = (apr_size_t)n + 1;
    rlx_redis_command_t command = {
        n + 1, apr_palloc(ptemp, parts * sizeof(char *)),
        apr_palloc(ptemp, parts * sizeof(size_t))
    };
    redisReply *reply;
    apr_status_t status;

    command.part[0] = "DEL";
    command.len[0] = 3;
    for (int i = 0; i < n; i++) {
        command.part[i + 1] = keys[i].text;
        command.len[i + 1] = keys[i].len;
    }
    status = ask(store, conn, &command, deadline, REDIS_REPLY_INTEGER, &reply,
                 why);
    if (status == APR_SUCCESS) {
        freeReplyObject(reply);
    }
    return status;
}

static apr_status_t redis_forget(rlx_storage_t *store,
                                 const rlx_counter_t *counters, int n,
                                 apr_pool_t *ptemp)
{
    rlx_usec_t deadline = rlx_redis_clock() + store->settings.timeout_usec;
    rlx_redis_conn_t *conn;
    batch_t batch;
    rlx_redis_why_t why;
    apr_status_t status;

    batch.n = 0;
    for (int i = 0; i < n; i++) {
        batch_add(&batch, store, &counters[i], i, ptemp);
    }
    status = take(store, &conn, deadline, &why);
    if (status == APR_SUCCESS) {
        status = delete_keys(store, conn, batch.keys, batch.n, deadline, &why,
                             ptemp);
        rlx_redis_pool_give(store->pool, conn);
    }
    return status == APR_SUCCESS ? status : failed(store, status, &why);
}

/** Delete what a step of SCAN found. */
static apr_status_t delete_found(rlx_storage_t *store, rlx_redis_conn_t *conn,
                                 const redisReply *found, rlx_usec_t deadline,
                                 rlx_redis_why_t *why, apr_pool_t *ptemp)
{
    rlx_redis_key_t *keys;

    if (!found->elements) {
        return APR_SUCCESS;
    }
    keys = apr_palloc(ptemp, found->elements * sizeof(*keys));
    for (size_t i = 0; i < found->elements; i++) {
        if (found->element[i]->type != REDIS_REPLY_STRING) {
            return rlx_redis_nonsense(conn, "a key is no text", why);
        }
        keys[i].text = found->element[i]->str;
        keys[i].len = found->element[i]->len;
    }
    return delete_keys(store, conn, keys, (int)found->elements, deadline, why,
                       ptemp);
}

/** One step of SCAN. The cursor is brought on; "0" is the end. */
static apr_status_t forget_some(rlx_storage_t *store, rlx_redis_conn_t *conn,
                                char cursor[24], const char *pattern,
                                rlx_usec_t deadline, rlx_redis_why_t *why,
                                apr_pool_t *ptemp)
{
    const char *part[] = { "SCAN", cursor, "MATCH", pattern, "COUNT",
                           SCAN_COUNT };
    size_t len[] = { 4, strlen(cursor), 5, strlen(pattern), 5,
                     strlen(SCAN_COUNT) };
    rlx_redis_command_t command = { 6, part, len };
    redisReply *reply;
    apr_status_t status = ask(store, conn, &command, deadline,
                              REDIS_REPLY_ARRAY, &reply, why);

    if (status != APR_SUCCESS) {
        return status;
    }
    if (reply->elements != 2 || reply->element[0]->type != REDIS_REPLY_STRING
        || reply->element[0]->len > 20
        || reply->element[1]->type != REDIS_REPLY_ARRAY) {
        status = rlx_redis_nonsense(conn, "no cursor and keys", why);
    }
    else {
        apr_cpystrn(cursor, reply->element[0]->str, 24);
        status = delete_found(store, conn, reply->element[1], deadline, why,
                              ptemp);
    }
    freeReplyObject(reply);
    return status;
}

static apr_status_t redis_forget_all(rlx_storage_t *store, const char *prefix,
                                     size_t len, apr_pool_t *ptemp)
{
    const char *pattern = rlx_redis_key_pattern(prefix, len, ptemp);
    rlx_usec_t end = rlx_redis_clock() + FORGET_ALL_USEC;
    char cursor[24] = "0";
    rlx_redis_conn_t *conn;
    rlx_redis_why_t why;
    apr_pool_t *step;
    apr_status_t status = take(
        store, &conn, rlx_redis_clock() + store->settings.timeout_usec, &why);

    if (status != APR_SUCCESS) {
        return failed(store, status, &why);
    }
    apr_pool_create(&step, ptemp);
    do {
        /* Each step has the time of a call. */
        status = forget_some(store, conn, cursor, pattern,
                             rlx_redis_clock()
                             + 2 * store->settings.timeout_usec, &why, step);
        apr_pool_clear(step);
        if (status == APR_SUCCESS && rlx_redis_clock() > end) {
            rlx_redis_why(&why, "it has more keys than could be gone through "
                          "in %d seconds", FORGET_ALL_USEC / 1000000);
            status = APR_TIMEUP;
        }
    } while (status == APR_SUCCESS && strcmp(cursor, "0"));
    apr_pool_destroy(step);
    rlx_redis_pool_give(store->pool, conn);
    return status == APR_SUCCESS ? status : failed(store, status, &why);
}

/** The number after a name in the text of INFO; 0 if it is not there. */
static apr_uint64_t info_number(const redisReply *info, const char *name)
{
    const char *at = strstr(info->str, name);

    return at ? (apr_uint64_t)apr_strtoi64(at + strlen(name), NULL, 10) : 0;
}

static apr_status_t read_figures(rlx_storage_t *store, rlx_redis_conn_t *conn,
                                 rlx_usec_t deadline,
                                 rlx_storage_figures_t *figures,
                                 rlx_redis_why_t *why)
{
    const char *info_part[] = { "INFO" };
    size_t info_len[] = { 4 };
    rlx_redis_command_t info = { 1, info_part, info_len };
    const char *size_part[] = { "DBSIZE" };
    size_t size_len[] = { 6 };
    rlx_redis_command_t size = { 1, size_part, size_len };
    redisReply *reply;
    apr_status_t status = ask(store, conn, &size, deadline,
                              REDIS_REPLY_INTEGER, &reply, why);

    if (status != APR_SUCCESS) {
        return status;
    }
    figures->keys_used = (apr_uint64_t)reply->integer;
    freeReplyObject(reply);
    status = ask(store, conn, &info, deadline, REDIS_REPLY_STRING, &reply,
                 why);
    if (status == APR_SUCCESS) {
        figures->size_bytes = info_number(reply, "\nused_memory:");
        figures->evictions = info_number(reply, "\nevicted_keys:");
        freeReplyObject(reply);
    }
    return status;
}

static apr_status_t redis_figures(rlx_storage_t *store, rlx_usec_t now,
                                  rlx_storage_figures_t *figures,
                                  apr_pool_t *ptemp)
{
    rlx_usec_t deadline = rlx_redis_clock() + store->settings.timeout_usec;
    rlx_redis_conn_t *conn;
    rlx_redis_why_t why;
    apr_status_t status = take(store, &conn, deadline, &why);

    memset(figures, 0, sizeof(*figures));
    if (status == APR_SUCCESS) {
        status = read_figures(store, conn, deadline, figures, &why);
        rlx_redis_pool_give(store->pool, conn);
    }
    figures->healthy = status == APR_SUCCESS;
    figures->state = figures->healthy ? "in Redis"
                                      : apr_pstrdup(ptemp, why.text);
    return APR_SUCCESS;
}

const rlx_storage_provider_t rlx_redis_provider = {
    .flags = RLX_STORAGE_WANTS_TEXT | RLX_STORAGE_IS_FAR,
    .create = redis_create,
    .refuses = redis_refuses,
    .open = redis_open,
    .child_init = redis_child_init,
    .decide = redis_decide,
    .look = redis_look,
    .give_back = redis_give_back,
    .forget = redis_forget,
    .forget_all = redis_forget_all,
    .figures = redis_figures,
    .trouble = redis_trouble,
};

#else /* without hiredis */

static const char *redis_create(rlx_storage_t **instance, const char *uri,
                                const apr_table_t *options,
                                const rlx_storage_env_t *env,
                                apr_pool_t *pconf)
{
    return apr_psprintf(pconf, "\"%s\": this build of the module has no "
                        "hiredis, which Redis is asked by; build it where "
                        "libhiredis-dev is installed, or use shm://",
                        rlx_store_shown_uri(uri, pconf));
}

/** No instance is ever made, so nothing else is called. */
const rlx_storage_provider_t rlx_redis_provider = {
    .create = redis_create
};

#endif /* RLX_HAVE_HIREDIS */
