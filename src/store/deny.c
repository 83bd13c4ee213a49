/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The deny cache. Where a storage refuses a request and charges it to nobody,
 * what it said of each counter is kept in shared memory; a request of the same
 * counters is answered from there for as long as
 *
 *   - one of them has no room, so that nothing is charged this time either;
 *   - that one is known to have none before its time (it was told when it will
 *     have), unless somebody gives back what he took, or clears it;
 *   - all of them are known: what the client is told is what the storage said.
 *
 * Through this server, to give back, to clear and to charge drops what was
 * known. Of other servers nothing is heard: what they do takes until the time
 * of an entry ends, deny_cache_time= at most. What an administrator does to the
 * storage behind our back, too.
 */

#include "store/deny.h"

#include <apr_lib.h>
#include <apr_strings.h>

#include "core/deny_table.h"
#include "core/wide.h"
#include "store/segment.h"

#define CACHE_OPTION "deny_cache"
#define TIME_OPTION  "deny_cache_time"

#define BYTES_DEFAULT   (1024 * 1024)
#define BYTES_MAX       (UINT64_C(1024) * 1024 * 1024)
#define TIME_DEFAULT_MS 1000
#define TIME_MAX_MS     60000
/** What the table wants its block to be aligned to. */
#define ALIGN_BYTES     64

struct rlx_storage_t {
    /** What the cache stands before. */
    const rlx_storage_provider_t *provider;
    rlx_storage_t *instance;
    rlx_usec_t (*retry_at)(const rlx_storage_t *instance, rlx_usec_t now);
    const char *shown_uri;
    /** Said, for the debug log, where it answers in the storage's place. */
    const char *answers;
    const char *name;
    rlx_deny_settings_t settings;
    const rlx_storage_env_t *env;
    apr_pool_t *pool;
    /** Shared by all children; made by open(). */
    rlx_deny_table_t table;
    /** The cache as a provider. */
    rlx_storage_provider_t own;
};

/*
 * What is known
 */

/** In place of a mode: nobody is charged. */
#define LOOK (-1)

/** What the storage said of the counters of a call, and what is known of them
 *  beforehand. */
typedef struct known_t {
    rlx_deny_ticket_t ticket[RLX_STORAGE_BATCH_MAX];
    /** A bit for each counter: something was known. */
    apr_uint64_t was_known;
} known_t;

/** Not 0 if a counter never has room: nobody need be asked. */
static int is_closed(const rlx_counter_t *counter)
{
    return counter->limit->count == 0 || counter->limit->burst == 0;
}

static void tell_closed(rlx_verdict_t *verdict, rlx_usec_t now)
{
    memset(verdict, 0, sizeof(*verdict));
    verdict->reset_at = now;
    verdict->retry_at = RLX_NEVER;
    verdict->decided_at = now;
}

/** What the storage would say now. It is exact of a counter without room. Of
 *  another, whose figures change as time passes, it is the least that is left,
 *  for none of these requests charges it. */
static void tell(const rlx_deny_fact_t *fact, const rlx_limit_t *limit,
                 rlx_usec_t now, rlx_verdict_t *verdict)
{
    int is_over = fact->reset_at <= now;

    verdict->has_room = fact->has_room;
    verdict->charged = 0;
    verdict->remaining = fact->remaining;
    verdict->reset_at = is_over ? now : fact->reset_at;
    verdict->retry_at = fact->has_room ? now : fact->retry_at;
    verdict->decided_at = now;
    if (is_over && (limit->strategy == RLX_FIXED_WINDOW
                    || limit->strategy == RLX_GCRA)) {
        verdict->remaining = limit->burst;
    }
}

/** Not 0 if all of a batch's counters are known, and no one was charged for
 *  it. Draws a ticket of each counter in any case. */
static int find(const rlx_storage_t *deny, int mode,
                const rlx_counter_t *counters, int n, rlx_usec_t now,
                rlx_verdict_t *verdicts, known_t *known)
{
    int n_known = 0, n_full = 0;

    known->was_known = 0;
    for (int i = 0; i < n; i++) {
        const rlx_counter_t *counter = &counters[i];
        rlx_deny_fact_t fact;

        if (is_closed(counter)) {
            tell_closed(&verdicts[i], now);
            n_known++;
            n_full++;
        }
        else if (rlx_deny_find(&deny->table, counter, now, &known->ticket[i],
                               &fact)) {
            known->was_known |= UINT64_C(1) << i;
            tell(&fact, counter->limit, now, &verdicts[i]);
            n_known += fact.cost == counter->cost;
            n_full += !fact.has_room;
        }
    }
    if (n_known < n || !n_full) {
        return 0;
    }
    return mode == RLX_CHARGE_ALL ? n_full == n
           : mode == RLX_CHARGE_IN_ORDER ? !verdicts[0].has_room : 1;
}

/** How long a counter has no room and its figures stay as they are. */
static rlx_usec_t full_until(const rlx_counter_t *counter,
                             const rlx_verdict_t *verdict, rlx_usec_t now)
{
    const rlx_limit_t *limit = counter->limit;
    rlx_usec_t until = verdict->retry_at;

    if (until == RLX_NEVER) {
        return now;
    }
    if (limit->strategy != RLX_GCRA) {
        return until < verdict->reset_at ? until : verdict->reset_at;
    }
    /* Units come back one by one, the last that is needed at `until`. */
    if (counter->cost > verdict->remaining + 1) {
        rlx_wide_t units = counter->cost - verdict->remaining - 1;

        until -= (rlx_usec_t)rlx_wide_div_up(
            units * (uint64_t)limit->window_usec, limit->count);
    }
    return until;
}

static void keep(const rlx_storage_t *deny, const rlx_counter_t *counter,
                 rlx_deny_ticket_t ticket, rlx_usec_t now,
                 const rlx_verdict_t *verdict)
{
    rlx_deny_fact_t fact = { RLX_NEVER, verdict->reset_at, verdict->retry_at,
                             verdict->remaining, counter->cost,
                             verdict->has_room };

    if (!verdict->has_room) {
        fact.until = full_until(counter, verdict, now);
    }
    rlx_deny_keep(&deny->table, counter, ticket, now, &fact);
}

/** The storage has decided. */
static void learn(const rlx_storage_t *deny, const rlx_counter_t *counters,
                  int n, rlx_usec_t now, const rlx_verdict_t *verdicts,
                  const known_t *known)
{
    int is_charged = 0, is_full = 0;

    for (int i = 0; i < n; i++) {
        is_charged |= verdicts[i].charged;
        is_full |= !verdicts[i].has_room;
        if (verdicts[i].charged && known->was_known >> i & 1) {
            rlx_deny_drop(&deny->table, &counters[i]);
        }
    }
    for (int i = 0; i < n && is_full && !is_charged; i++) {
        if (!is_closed(&counters[i])) {
            keep(deny, &counters[i], known->ticket[i], now, &verdicts[i]);
        }
    }
}

/** What was known of counters is so no longer. */
static void drop(const rlx_storage_t *deny, const rlx_counter_t *counters,
                 int n)
{
    for (int i = 0; i < n; i++) {
        rlx_deny_drop(&deny->table, &counters[i]);
    }
}

/*
 * The provider
 */

static const char *deny_refuses(const rlx_storage_t *deny,
                                const rlx_limit_t *limit, apr_pool_t *ptemp)
{
    return deny->provider->refuses(deny->instance, limit, ptemp);
}

static apr_status_t deny_open(rlx_storage_t *deny)
{
    rlx_segment_t segment = {
        apr_pstrcat(deny->pool, "rlx-deny-", deny->name, NULL),
        deny->settings.bytes + ALIGN_BYTES, deny->shown_uri,
        "its deny cache; free some, or make " CACHE_OPTION "= smaller"
    };
    void *memory;
    apr_status_t status = rlx_segment_open(&segment, deny->env, deny->pool,
                                           &memory);

    if (status != APR_SUCCESS) {
        return status;
    }
    deny->table = rlx_deny_table(
        (void *)APR_ALIGN((apr_uintptr_t)memory, (apr_uintptr_t)ALIGN_BYTES),
        deny->settings.bytes, deny->settings.time_max_usec);
    return deny->provider->open(deny->instance);
}

static apr_status_t deny_child_init(rlx_storage_t *deny, apr_pool_t *pchild)
{
    return deny->provider->child_init(deny->instance, pchild);
}

static apr_status_t deny_decide(rlx_storage_t *deny, rlx_charge_e mode,
                                const rlx_counter_t *counters, int n,
                                rlx_usec_t now, rlx_verdict_t *verdicts,
                                apr_pool_t *ptemp)
{
    apr_status_t status;
    known_t known;

    if (find(deny, (int)mode, counters, n, now, verdicts, &known)) {
        deny->env->log(deny->env->baton, RLX_LOG_DEBUG, APR_SUCCESS,
                       deny->answers);
        return APR_SUCCESS;
    }
    status = deny->provider->decide(deny->instance, mode, counters, n, now,
                                    verdicts, ptemp);
    if (status == APR_SUCCESS) {
        learn(deny, counters, n, now, verdicts, &known);
    }
    return status;
}

static apr_status_t deny_look(rlx_storage_t *deny,
                              const rlx_counter_t *counters, int n,
                              rlx_usec_t now, rlx_verdict_t *verdicts,
                              apr_pool_t *ptemp)
{
    apr_status_t status;
    known_t known;

    if (find(deny, LOOK, counters, n, now, verdicts, &known)) {
        return APR_SUCCESS;
    }
    status = deny->provider->look(deny->instance, counters, n, now, verdicts,
                                  ptemp);
    if (status == APR_SUCCESS) {
        learn(deny, counters, n, now, verdicts, &known);
    }
    return status;
}

static apr_status_t deny_give_back(rlx_storage_t *deny,
                                   const rlx_counter_t *counters, int n,
                                   rlx_usec_t charged_at, rlx_usec_t now,
                                   apr_pool_t *ptemp)
{
    apr_status_t status = deny->provider->give_back(
        deny->instance, counters, n, charged_at, now, ptemp);

    drop(deny, counters, n);
    return status;
}

static apr_status_t deny_forget(rlx_storage_t *deny,
                                const rlx_counter_t *counters, int n,
                                apr_pool_t *ptemp)
{
    apr_status_t status = deny->provider->forget(deny->instance, counters, n,
                                                 ptemp);

    drop(deny, counters, n);
    return status;
}

static apr_status_t deny_forget_all(rlx_storage_t *deny, const char *prefix,
                                    size_t len, apr_pool_t *ptemp)
{
    apr_status_t status = deny->provider->forget_all(deny->instance, prefix,
                                                     len, ptemp);

    rlx_deny_drop_all(&deny->table);
    return status;
}

static apr_status_t deny_figures(rlx_storage_t *deny, rlx_usec_t now,
                                 rlx_storage_figures_t *figures,
                                 apr_pool_t *ptemp)
{
    return deny->provider->figures(deny->instance, now, figures, ptemp);
}

static const char *deny_trouble(const rlx_storage_t *deny, apr_pool_t *ptemp)
{
    return deny->provider->trouble
           ? deny->provider->trouble(deny->instance, ptemp) : NULL;
}

static rlx_usec_t deny_retry_at(const rlx_storage_t *deny, rlx_usec_t now)
{
    return deny->retry_at(deny->instance, now);
}

/** No URI leads to it, so create() is never called. */
static const rlx_storage_provider_t deny_provider = {
    .refuses = deny_refuses,
    .open = deny_open,
    .child_init = deny_child_init,
    .decide = deny_decide,
    .look = deny_look,
    .give_back = deny_give_back,
    .forget = deny_forget,
    .forget_all = deny_forget_all,
    .figures = deny_figures,
    .trouble = deny_trouble,
};

void rlx_deny_put(rlx_store_t *store, const char *name,
                  const rlx_deny_settings_t *settings,
                  const rlx_storage_env_t *env, apr_pool_t *pconf)
{
    rlx_storage_t *deny = apr_pcalloc(pconf, sizeof(*deny));

    deny->provider = store->provider;
    deny->instance = store->instance;
    deny->retry_at = store->retry_at;
    deny->shown_uri = store->shown_uri;
    deny->answers = apr_pstrcat(pconf, "storage ", store->shown_uri,
                                " need not be asked: its deny cache knows "
                                "that it would refuse", NULL);
    deny->name = name;
    deny->settings = *settings;
    deny->env = env;
    deny->pool = pconf;
    deny->own = deny_provider;
    deny->own.flags = store->provider->flags;
    store->behind_provider = store->provider;
    store->behind_instance = store->instance;
    store->provider = &deny->own;
    store->instance = deny;
    store->retry_at = store->retry_at ? deny_retry_at : NULL;
}

/*
 * Options
 */

static const char *read_size(rlx_deny_settings_t *settings, const char *value,
                             apr_pool_t *p)
{
    apr_uint64_t bytes = BYTES_DEFAULT;

    if (!strcasecmp(value, "off")) {
        bytes = 0;
    }
    else if (strcasecmp(value, "on")
             && (!rlx_store_parse_size(value, &bytes)
                 || bytes < RLX_DENY_BYTES_MIN || bytes > BYTES_MAX)) {
        return apr_psprintf(p, CACHE_OPTION "=%s is neither on nor off nor a "
                            "size from %dK to %dG (as in " CACHE_OPTION
                            "=1M)", value, RLX_DENY_BYTES_MIN / 1024,
                            (int)(BYTES_MAX >> 30));
    }
    settings->bytes = (apr_size_t)bytes;
    return NULL;
}

static const char *read_time(rlx_deny_settings_t *settings, const char *value,
                             apr_pool_t *p)
{
    apr_int64_t msec = strlen(value) < 10 ? apr_atoi64(value) : 0;

    if (value[strspn(value, "0123456789")] || msec < 1 || msec > TIME_MAX_MS) {
        return apr_psprintf(p, TIME_OPTION "=%s is not a number of "
                            "milliseconds from 1 to %d", value, TIME_MAX_MS);
    }
    settings->time_max_usec = msec * 1000;
    return NULL;
}

const char *rlx_deny_options(rlx_deny_settings_t *settings,
                             const apr_table_t *options,
                             const apr_table_t **rest, apr_pool_t *p)
{
    const char *size = apr_table_get(options, CACHE_OPTION);
    const char *time = apr_table_get(options, TIME_OPTION);
    const char *error = NULL;
    apr_table_t *others;

    settings->bytes = BYTES_DEFAULT;
    settings->time_max_usec = TIME_DEFAULT_MS * 1000;
    *rest = options;
    if (!size && !time) {
        return NULL;
    }
    others = apr_table_copy(p, options);
    apr_table_unset(others, CACHE_OPTION);
    apr_table_unset(others, TIME_OPTION);
    *rest = others;
    if (size) {
        error = read_size(settings, size, p);
    }
    return !error && time ? read_time(settings, time, p) : error;
}
