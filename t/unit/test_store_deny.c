/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The deny cache before a provider that counts how often it is asked, and says
 * what it is told to: which calls are answered without it, with what, and what
 * ends that.
 */

#include "store/deny.h"

#include <apr_general.h>
#include <apr_hash.h>
#include <apr_strings.h>

#include "tap.h"

#define SECOND ((rlx_usec_t)1000000)
#define NOON   (INT64_C(1800000000) * SECOND)
#define MANY   3

/*
 * The provider
 */

/** What it says of each counter; `charged` where the mode would charge it. */
static rlx_verdict_t says[MANY];
static int calls;
static apr_status_t fails;

struct rlx_storage_t {
    int unused;
};

static const char *plan_create(rlx_storage_t **instance, const char *uri,
                               const apr_table_t *options,
                               const rlx_storage_env_t *env, apr_pool_t *pconf)
{
    *instance = apr_pcalloc(pconf, sizeof(**instance));
    return apr_is_empty_table(options) ? NULL : "an option that is not mine";
}

static const char *plan_refuses(const rlx_storage_t *instance,
                                const rlx_limit_t *limit, apr_pool_t *ptemp)
{
    return "refused";
}

static apr_status_t plan_open(rlx_storage_t *instance)
{
    return APR_SUCCESS;
}

static apr_status_t plan_child_init(rlx_storage_t *instance, apr_pool_t *p)
{
    return APR_SUCCESS;
}

static apr_status_t plan_look(rlx_storage_t *instance,
                              const rlx_counter_t *asked, int n,
                              rlx_usec_t now, rlx_verdict_t *verdicts,
                              apr_pool_t *ptemp)
{
    calls++;
    for (int i = 0; i < n; i++) {
        verdicts[i] = says[asked[i].id.word[1]];
    }
    return fails;
}

static apr_status_t plan_decide(rlx_storage_t *instance, rlx_charge_e mode,
                                const rlx_counter_t *asked, int n,
                                rlx_usec_t now, rlx_verdict_t *verdicts,
                                apr_pool_t *ptemp)
{
    return plan_look(instance, asked, n, now, verdicts, ptemp);
}

static apr_status_t plan_give_back(rlx_storage_t *instance,
                                   const rlx_counter_t *asked, int n,
                                   rlx_usec_t charged_at, rlx_usec_t now,
                                   apr_pool_t *ptemp)
{
    calls++;
    return fails;
}

static apr_status_t plan_forget(rlx_storage_t *instance,
                                const rlx_counter_t *asked, int n,
                                apr_pool_t *ptemp)
{
    calls++;
    return fails;
}

static apr_status_t plan_forget_all(rlx_storage_t *instance,
                                    const char *prefix, size_t len,
                                    apr_pool_t *ptemp)
{
    calls++;
    return fails;
}

static apr_status_t plan_figures(rlx_storage_t *instance, rlx_usec_t now,
                                 rlx_storage_figures_t *figures,
                                 apr_pool_t *ptemp)
{
    calls++;
    return fails;
}

static rlx_storage_provider_t plan = {
    RLX_STORAGE_IS_FAR, plan_create, plan_refuses, plan_open, plan_child_init,
    plan_decide, plan_look, plan_give_back, plan_forget, plan_forget_all,
    plan_figures
};

/*
 * What the server lends
 */

static apr_pool_t *pool;

static void env_log(void *baton, rlx_log_level_e level, apr_status_t status,
                    const char *message)
{
    diag("%s", message);
}

/** Memory by name, as long as the process. */
static void *env_retain(const char *name, apr_size_t bytes)
{
    static apr_hash_t *retained;
    void *memory;

    retained = retained ? retained : apr_hash_make(pool);
    memory = apr_hash_get(retained, name, APR_HASH_KEY_STRING);
    if (!memory) {
        memory = apr_pcalloc(pool, bytes);
        apr_hash_set(retained, apr_pstrdup(pool, name), APR_HASH_KEY_STRING,
                     memory);
    }
    return memory;
}

static const rlx_storage_provider_t *look_up(const char *scheme)
{
    return &plan;
}

static rlx_storage_env_t env = { env_log, NULL, NULL, env_retain, 0 };

/** The store of a URI with one option, or none; NULL and the error. */
static rlx_store_t *get(const char *uri, const char *name, const char *value,
                        const char **error)
{
    rlx_store_set_t *set = rlx_store_set_make(look_up, &env, NULL, "plan",
                                              pool);
    apr_table_t *options = apr_table_make(pool, 1);
    rlx_store_t *store = NULL;

    if (name) {
        apr_table_set(options, name, value);
    }
    *error = rlx_store_get(set, &store, uri, options);
    return *error || rlx_store_open_all(set) != APR_SUCCESS ? NULL : store;
}

/*
 * Calls
 */

static const rlx_store_t *store;
static rlx_limit_t limit[MANY];
static rlx_counter_t counters[MANY];
static rlx_verdict_t verdicts[MANY];

/** Begin anew, with n counters that nobody has met: all have room. */
static void reset(void)
{
    static uint64_t nth;

    for (int i = 0; i < MANY; i++) {
        limit[i] = (rlx_limit_t){ 10, 10, 60 * SECOND, RLX_FIXED_WINDOW, "" };
        counters[i].limit = &limit[i];
        counters[i].id.word[0] = ++nth * UINT64_C(0x9e3779b97f4a7c15);
        counters[i].id.word[1] = (uint64_t)i;
        counters[i].cost = 1;
        says[i] = (rlx_verdict_t){ 1, 0, 4, NOON + 30 * SECOND, NOON, NOON };
    }
    fails = APR_SUCCESS;
}

/** A counter has no room for so long. */
static void fill(int i, rlx_usec_t usec)
{
    says[i] = (rlx_verdict_t){ 0, 0, 0, NOON + usec, NOON + usec, NOON };
}

/** Decide some counters. @return how often the storage was asked for it */
static int asks(rlx_charge_e mode, int from, int n, rlx_usec_t now)
{
    memset(verdicts, 0xff, sizeof(verdicts));
    calls = 0;
    ok(rlx_store_decide(store, mode, counters + from, n, now, verdicts, pool)
       == fails, "decided");
    return calls;
}

static int looks(int from, int n, rlx_usec_t now)
{
    calls = 0;
    ok(rlx_store_look(store, counters + from, n, now, verdicts, pool)
       == fails, "looked");
    return calls;
}

static void one(void)
{
    reset();
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON), 1, "room: asked");
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON), 1, "and asked again");
    fill(0, SECOND / 2);
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON), 1, "no room: asked");
    for (int mode = RLX_CHARGE_ATOMIC; mode <= RLX_CHARGE_ALL; mode++) {
        is_int(asks((rlx_charge_e)mode, 0, 1, NOON + 9), 0, "and not again");
        ok(!verdicts[0].has_room && !verdicts[0].charged
           && !verdicts[0].remaining, "no room, as ever");
        is_int(verdicts[0].reset_at, NOON + SECOND / 2, "reset_at");
        is_int(verdicts[0].retry_at, NOON + SECOND / 2, "retry_at");
    }
    is_int(looks(0, 1, NOON), 0, "nor to look");
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON + SECOND / 2), 1,
           "asked when there is room again");
    reset();
    fill(0, 20 * SECOND);
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON), 1, "no room for longer");
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON + SECOND - 1), 0,
           "not asked for a second");
    is_int(verdicts[0].retry_at, NOON + 20 * SECOND, "with the whole wait");
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON + SECOND), 1, "and then asked");
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON - 5), 1, "or if the clock is set");
    counters[0].cost = 2;
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON), 1, "another cost is asked for");

    reset();
    fill(0, SECOND);
    fails = APR_EGENERAL;
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON), 1, "a failure");
    fails = APR_SUCCESS;
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON + SECOND), 1,
           "says nothing: asked when the guard lets one ask");

    reset();
    limit[0].count = limit[0].burst = 0;
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON), 0, "count 0 is never asked");
    ok(!verdicts[0].has_room && !verdicts[0].remaining
       && verdicts[0].reset_at == NOON && verdicts[0].retry_at == RLX_NEVER,
       "and never has room");
}

/** How long figures stay as they are, by the strategy. */
static void lives(void)
{
    reset();
    limit[0].strategy = RLX_SLIDING_WINDOW_COUNTER;
    counters[0].cost = 3;
    fill(0, SECOND / 2);
    says[0].reset_at = NOON + SECOND / 10;
    asks(RLX_CHARGE_ATOMIC, 0, 1, NOON);
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON + SECOND / 10 - 1), 0,
           "sliding, known until a unit comes back");
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON + SECOND / 10), 1, "no longer");

    /* 10 per second: a unit each 0.1 s. Three are wanted, one is there. */
    reset();
    limit[0].strategy = RLX_GCRA;
    limit[0].window_usec = SECOND;
    counters[0].cost = 3;
    fill(0, SECOND / 5);
    says[0].remaining = 1;
    says[0].reset_at = NOON + 9 * SECOND / 10;
    asks(RLX_CHARGE_ATOMIC, 0, 1, NOON);
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON + SECOND / 10 - 1), 0,
           "gcra, known until a unit comes back");
    is_int(verdicts[0].remaining, 1, "one is left meanwhile");
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON + SECOND / 10), 1, "no longer");

    reset();
    fill(0, SECOND);
    says[0].retry_at = RLX_NEVER;
    asks(RLX_CHARGE_ATOMIC, 0, 1, NOON);
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON), 1, "never is asked each time");
}

static void several(void)
{
    reset();
    fill(1, SECOND);
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 2, NOON), 1, "the second of two is full");
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 2, NOON + 1), 0, "atomic: known");
    ok(verdicts[0].has_room && !verdicts[0].charged, "the first has room");
    is_int(verdicts[0].remaining, 4, "as much as there was");
    is_int(verdicts[0].reset_at, NOON + 30 * SECOND, "until then");
    is_int(verdicts[0].retry_at, NOON + 1, "now");
    ok(!verdicts[1].has_room, "the second has none");
    is_int(looks(0, 2, NOON), 0, "known for a look");
    is_int(asks(RLX_CHARGE_IN_ORDER, 0, 2, NOON), 1,
           "in order: the first would be charged");
    is_int(asks(RLX_CHARGE_ALL, 0, 2, NOON), 1, "all: so it would");
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 3, NOON), 1, "with a third it is asked");
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON), 1, "and the first alone");
    is_int(looks(0, 1, NOON), 1, "also for a look");

    reset();
    fill(0, SECOND);
    asks(RLX_CHARGE_IN_ORDER, 0, 2, NOON);
    is_int(asks(RLX_CHARGE_IN_ORDER, 0, 2, NOON), 0,
           "in order, the first is full: known");
    is_int(asks(RLX_CHARGE_ALL, 0, 2, NOON), 1, "all: not yet");
    fill(1, SECOND);
    asks(RLX_CHARGE_ALL, 0, 2, NOON);
    is_int(asks(RLX_CHARGE_ALL, 0, 2, NOON), 0, "all: when both are full");

    /* A window that ends meanwhile, and one that never began. */
    reset();
    fill(2, SECOND);
    says[0].reset_at = NOON + SECOND / 4;
    says[1].reset_at = NOON;
    says[1].remaining = 10;
    asks(RLX_CHARGE_ATOMIC, 0, 3, NOON);
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 3, NOON + SECOND / 2), 0, "known");
    is_int(verdicts[0].remaining, 10, "a window that ended is whole again");
    is_int(verdicts[0].reset_at, NOON + SECOND / 2, "and has not begun");
    is_int(verdicts[1].remaining, 10, "as one that never began");
    is_int(verdicts[1].reset_at, NOON + SECOND / 2, "as ever");
}

/** What ends it before its time. */
static void ends(void)
{
    reset();
    fill(1, SECOND);
    asks(RLX_CHARGE_ATOMIC, 0, 2, NOON);
    says[0].charged = 1;
    asks(RLX_CHARGE_ATOMIC, 0, 1, NOON);
    says[0].charged = 0;
    says[0].remaining = 3;
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 2, NOON), 1,
           "the first was charged: asked again");
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 2, NOON), 0, "and known again");
    is_int(verdicts[0].remaining, 3, "with what is left");

    rlx_store_give_back(store, &counters[1], 1, NOON, NOON, pool);
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 2, NOON), 1, "after giving back, asked");
    store->provider->forget(store->instance, &counters[1], 1, pool);
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 2, NOON), 1, "after forgetting, asked");
    fails = APR_EGENERAL;
    store->provider->forget(store->instance, &counters[1], 1, pool);
    fails = APR_SUCCESS;
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 2, NOON), 1,
           "also if that may have failed");
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 2, NOON), 0, "known");
    store->provider->forget_all(store->instance, "", 0, pool);
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 2, NOON), 1, "after forgetting all");
}

static void options(void)
{
    static const char *const wrong[][3] = {
        { "deny_cache", "maybe", "deny_cache=maybe is neither on nor off nor a "
          "size from 4K to 1G (as in deny_cache=1M)" },
        { "deny_cache", "4095", "deny_cache=4095 is neither on nor off nor a "
          "size from 4K to 1G (as in deny_cache=1M)" },
        { "deny_cache", "2G", "deny_cache=2G is neither on nor off nor a size "
          "from 4K to 1G (as in deny_cache=1M)" },
        { "deny_cache_time", "0", "deny_cache_time=0 is not a number of "
          "milliseconds from 1 to 60000" },
        { "deny_cache_time", "60001", "deny_cache_time=60001 is not a number "
          "of milliseconds from 1 to 60000" },
        { "deny_cache_time", "1s", "deny_cache_time=1s is not a number of "
          "milliseconds from 1 to 60000" },
        { "deny_cache_time", "", "deny_cache_time= is not a number of "
          "milliseconds from 1 to 60000" },
        { "other", "1", "an option that is not mine" },
    };
    const char *error;

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        get("plan://there", wrong[i][0], wrong[i][1], &error);
        is_str(error, wrong[i][2], wrong[i][2]);
    }
    store = get("plan://there", "deny_cache", "Off", &error);
    reset();
    fill(0, SECOND);
    asks(RLX_CHARGE_ATOMIC, 0, 1, NOON);
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON), 1, "off: asked each time");
    store = get("plan://there", "deny_cache_time", "3000", &error);
    fill(0, 9 * SECOND);
    asks(RLX_CHARGE_ATOMIC, 0, 1, NOON);
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON + 3 * SECOND - 1), 0,
           "a time of its own");
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON + 3 * SECOND), 1, "ends then");
    store = get("plan://there", "deny_cache", "4K", &error);
    fill(0, SECOND);
    asks(RLX_CHARGE_ATOMIC, 0, 1, NOON);
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON), 0, "the smallest one");
    store = get("plan://there", "deny_cache", "4K", &error);
    is_int(asks(RLX_CHARGE_ATOMIC, 0, 1, NOON), 0, "after a restart as well");
    plan.flags = 0;
    get("plan://there", "deny_cache", "1M", &error);
    is_str(error, "an option that is not mine", "not for what is near");
    plan.flags = RLX_STORAGE_IS_FAR;
}

int main(void)
{
    const char *error;

    apr_initialize();
    apr_pool_create(&pool, NULL);
    env.process_pool = pool;
    store = get("plan://here", NULL, NULL, &error);
    is_str(error, NULL, "made");
    is_int(store->provider->flags, RLX_STORAGE_IS_FAR, "flags shine through");
    is_str(store->provider->refuses(store->instance, &limit[0], pool),
           "refused", "what it refuses, too");
    is_int(rlx_store_retry_at(store, NOON), NOON, "the guard is behind it");
    one();
    lives();
    several();
    ends();
    options();
    apr_pool_destroy(pool);
    apr_terminate();
    return tap_done();
}
