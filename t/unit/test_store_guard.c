/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What is between a storage and those who ask it, with a provider that fails
 * by plan: steps for more counters than one call takes, and the guard.
 */

#include <apr_general.h>
#include <apr_strings.h>

#include "store/store.h"
#include "tap.h"

#define SECOND ((rlx_usec_t)1000000)
#define NOON   (INT64_C(1800000000) * SECOND)
#define MANY   150

/*
 * The provider: each counter has room until it was charged `room` times; call
 * number `fails_at` fails, and those after it for as long as `is_down`.
 */

static int charged[MANY];
static int room;
static int calls, fails_at, is_down, is_partly_down, largest;

struct rlx_storage_t {
    int unused;
};

static rlx_limit_t limit = { 1, 1, SECOND, RLX_FIXED_WINDOW, "1 per 1 second" };
static rlx_counter_t counters[MANY];
static rlx_verdict_t verdicts[MANY];

static apr_status_t begin(int n)
{
    largest = n > largest ? n : largest;
    if (is_partly_down) {
        return APR_EAGAIN;
    }
    return ++calls == fails_at || is_down ? APR_ECONNREFUSED : APR_SUCCESS;
}

static const char *plan_create(rlx_storage_t **instance, const char *uri,
                               const apr_table_t *options,
                               const rlx_storage_env_t *env, apr_pool_t *pconf)
{
    *instance = apr_pcalloc(pconf, sizeof(**instance));
    return NULL;
}

static const char *plan_refuses(const rlx_storage_t *instance,
                                const rlx_limit_t *asked, apr_pool_t *ptemp)
{
    return asked == &limit ? NULL : "not this one";
}

static apr_status_t plan_open(rlx_storage_t *instance)
{
    return APR_SUCCESS;
}

static apr_status_t plan_child_init(rlx_storage_t *instance, apr_pool_t *p)
{
    return is_down ? APR_EGENERAL : APR_SUCCESS;
}

static int index_of(const rlx_counter_t *counter)
{
    return (int)counter->id.word[0];
}

static apr_status_t plan_look(rlx_storage_t *instance,
                              const rlx_counter_t *asked, int n,
                              rlx_usec_t now, rlx_verdict_t *said,
                              apr_pool_t *ptemp)
{
    apr_status_t status = begin(n);

    for (int i = 0; i < n && status == APR_SUCCESS; i++) {
        said[i].has_room = charged[index_of(&asked[i])] < room;
        said[i].charged = 0;
    }
    return status;
}

static apr_status_t plan_decide(rlx_storage_t *instance, rlx_charge_e mode,
                                const rlx_counter_t *asked, int n,
                                rlx_usec_t now, rlx_verdict_t *said,
                                apr_pool_t *ptemp)
{
    apr_status_t status = plan_look(instance, asked, n, now, said, ptemp);
    int full = 0;

    for (int i = 0; i < n && status == APR_SUCCESS; i++) {
        full |= !said[i].has_room;
        if (said[i].has_room && (mode == RLX_CHARGE_ALL || !full)) {
            said[i].charged = 1;
            charged[index_of(&asked[i])]++;
        }
    }
    return status;
}

static apr_status_t plan_give_back(rlx_storage_t *instance,
                                   const rlx_counter_t *asked, int n,
                                   rlx_usec_t charged_at, rlx_usec_t now,
                                   apr_pool_t *ptemp)
{
    apr_status_t status = begin(n);

    for (int i = 0; i < n && status == APR_SUCCESS; i++) {
        charged[index_of(&asked[i])]--;
    }
    return status;
}

static apr_status_t plan_forget(rlx_storage_t *instance,
                                const rlx_counter_t *asked, int n,
                                apr_pool_t *ptemp)
{
    return begin(n);
}

static apr_status_t plan_forget_all(rlx_storage_t *instance,
                                    const char *prefix, size_t len,
                                    apr_pool_t *ptemp)
{
    return begin(0);
}

static apr_status_t plan_figures(rlx_storage_t *instance, rlx_usec_t now,
                                 rlx_storage_figures_t *figures,
                                 apr_pool_t *ptemp)
{
    figures->healthy = 1;
    figures->state = "fine";
    return APR_SUCCESS;
}

static const char *plan_trouble(const rlx_storage_t *instance,
                                apr_pool_t *ptemp)
{
    return "as planned";
}

static rlx_storage_provider_t plan = {
    0, plan_create, plan_refuses, plan_open, plan_child_init, plan_decide,
    plan_look, plan_give_back, plan_forget, plan_forget_all, plan_figures,
    plan_trouble
};

/*
 * What the server lends
 */

static apr_pool_t *pool;
static rlx_store_change_t last;
static int changes;

static void env_log(void *baton, rlx_log_level_e level, apr_status_t status,
                    const char *message)
{
    diag("%s", message);
}

static void *env_retain(const char *name, apr_size_t bytes)
{
    static apr_table_t *retained;
    static char block[64];

    /* One thing at most is retained here; a second round finds it. */
    retained = retained ? retained : apr_table_make(pool, 1);
    apr_table_set(retained, name, "");
    return apr_table_elts(retained)->nelts == 1 && bytes <= sizeof(block)
           ? block : NULL;
}

static void on_change(void *baton, const rlx_store_change_t *change)
{
    changes++;
    last = *change;
}

static const rlx_storage_provider_t *look_up(const char *scheme)
{
    return strcmp(scheme, "plan") ? NULL : &plan;
}

static rlx_storage_env_t env = { env_log, NULL, NULL, env_retain, 0 };

static rlx_store_t *get(void)
{
    rlx_store_set_t *set = rlx_store_set_make(look_up, &env, on_change, "plan",
                                              pool);
    rlx_store_t *store = NULL;

    ok(!rlx_store_get(set, &store, "plan://user:secret@there", NULL), "made");
    ok(rlx_store_open_all(set) == APR_SUCCESS, "opened");
    return store;
}

/** Begin anew: nothing charged but the last counters, from `full` on. */
static void reset(int full, int fail_at)
{
    for (int i = 0; i < MANY; i++) {
        charged[i] = i >= full;
        counters[i].limit = &limit;
        counters[i].id.word[0] = (uint64_t)i;
        counters[i].cost = 1;
    }
    room = 1;
    calls = largest = is_down = 0;
    fails_at = fail_at;
}

static int sum(const int *numbers)
{
    int all = 0;

    for (int i = 0; i < MANY; i++) {
        all += numbers[i];
    }
    return all;
}

/** How many verdicts say so. */
static int said(int is_charged)
{
    int n = 0;

    for (int i = 0; i < MANY; i++) {
        n += is_charged ? verdicts[i].charged != 0 : !verdicts[i].has_room;
    }
    return n;
}

static apr_status_t decide(const rlx_store_t *store, rlx_charge_e mode, int n)
{
    memset(verdicts, 0, sizeof(verdicts));
    return rlx_store_decide(store, mode, counters, n, NOON, verdicts, pool);
}

/** More counters than one call takes. */
static void steps(void)
{
    /* No guard: each call is asked. */
    rlx_store_t *store;

    plan.flags = RLX_STORAGE_ALWAYS_ANSWERS;
    store = get();
    reset(MANY, 0);
    ok(!decide(store, RLX_CHARGE_ATOMIC, 0), "none: nothing");
    is_int(calls, 0, "none: nobody is asked");
    ok(!decide(store, RLX_CHARGE_ATOMIC, 64), "64 of them");
    is_int(calls, 1, "are one call");
    reset(MANY, 0);
    ok(!decide(store, RLX_CHARGE_ATOMIC, MANY), "150 of them");
    is_int(calls, 6, "are looked at in three and decided in three");
    is_int(largest, 64, "of no more than 64");
    is_int(sum(charged), MANY, "all are charged");

    reset(MANY - 1, 0);
    ok(!decide(store, RLX_CHARGE_ATOMIC, MANY), "atomic, the last is full");
    is_int(sum(charged), 1, "nothing is charged");
    is_int(calls, 3, "they were looked at alone");
    is_int(said(0), 1, "which says so");

    reset(100, 0);
    ok(!decide(store, RLX_CHARGE_IN_ORDER, MANY), "in order, full from the 101st");
    is_int(sum(charged), MANY, "those before it are charged");
    is_int(said(1), 100, "which the verdicts say");
    is_int(said(0), 50, "and of all the others that they are full");
    reset(100, 0);
    ok(!decide(store, RLX_CHARGE_ALL, MANY), "all");
    is_int(said(1), 100, "those with room are charged");

    reset(MANY, 6);
    ok(decide(store, RLX_CHARGE_ATOMIC, MANY) == APR_ECONNREFUSED,
       "the last step fails");
    is_int(sum(charged), 0, "what the others charged is given back");
    reset(MANY, 2);
    ok(decide(store, RLX_CHARGE_ATOMIC, MANY), "a look fails");
    is_int(calls, 2, "nobody is asked any further");

    reset(0, 2);
    ok(rlx_store_give_back(store, counters, MANY, NOON, NOON, pool)
       == APR_ECONNREFUSED, "a step of giving back fails");
    is_int(sum(charged), 64, "the others are done");
    is_int(rlx_store_may_fail(store), 0, "it always answers");
    is_int(rlx_store_retry_at(store, NOON), NOON, "and may be asked now");
}

static apr_status_t ask_at(const rlx_store_t *store, rlx_usec_t now)
{
    return rlx_store_look(store, counters, 1, now, verdicts, pool);
}

static void guard(void)
{
    rlx_storage_figures_t figures;
    rlx_store_t *store;
    rlx_limit_t other = limit;
    rlx_health_t health;

    plan.flags = RLX_STORAGE_WANTS_TEXT;
    store = get();
    reset(MANY, 0);
    is_int(store->provider->flags, RLX_STORAGE_WANTS_TEXT, "the flags shine through");
    ok(rlx_store_may_fail(store), "it may fail");
    is_str(store->provider->refuses(store->instance, &other, pool),
           "not this one", "what it refuses, too");
    ok(!ask_at(store, NOON), "it answers");
    is_int(changes, 0, "of which nobody is told");
    is_down = 1;
    ok(ask_at(store, NOON) == APR_ECONNREFUSED, "it fails");
    is_int(changes, 1, "which is told");
    is_int(last.state, RLX_STORE_DOWN, "as down");
    is_int(last.status, APR_ECONNREFUSED, "with the reason");
    is_str(last.trouble, "as planned", "in its own words");
    is_int(last.usec, SECOND, "for a second");
    is_str(last.shown_uri, "plan://***@there", "without secrets");
    is_int(rlx_store_retry_at(store, NOON), NOON + SECOND, "until then");
    calls = 0;
    ok(ask_at(store, NOON) == APR_EAGAIN, "look is not let through");
    ok(rlx_store_decide(store, RLX_CHARGE_ALL, counters, 1, NOON, verdicts,
                        pool) == APR_EAGAIN, "nor decide");
    ok(rlx_store_give_back(store, counters, 1, NOON, NOON, pool) == APR_EAGAIN,
       "nor give_back");
    is_int(calls, 0, "so it was not asked");
    rlx_health_read(*store->health, &health);
    is_int(health.answered, 1, "one call was answered");
    is_int(health.failed, 1, "and one was not; others were not made");
    is_int(health.is_down, 1, "it is known to be down");
    is_int(health.changed_at, NOON, "since then");
    is_down = 0;
    ok(!store->provider->forget(store->instance, counters, 1, pool)
       && !store->provider->forget_all(store->instance, "", 0, pool),
       "what an administrator asks for is");
    ok(!store->provider->figures(store->instance, NOON, &figures, pool)
       && !figures.healthy, "figures say that it does not answer");

    /* A restart: a new instance, the same state. */
    store = get();
    ok(ask_at(store, NOON) == APR_EAGAIN, "after a restart that is known");
    is_down = 1;
    ok(ask_at(store, NOON + SECOND) == APR_ECONNREFUSED, "tried once more");
    is_int(last.state, RLX_STORE_STILL_DOWN, "still down");
    is_int(last.usec, 2 * SECOND, "for two seconds");
    is_down = 0;
    ok(!ask_at(store, NOON + 3 * SECOND), "it answers again");
    is_int(last.state, RLX_STORE_UP, "which is told");
    is_int(last.usec, 3 * SECOND, "with how long it took");
    is_int(changes, 3, "three lines in all");
    ok(!store->provider->figures(store->instance, NOON, &figures, pool)
       && figures.healthy, "figures say that it is well");

    /* One of many servers fails: the others are worth asking. */
    is_partly_down = 1;
    calls = 0;
    ok(ask_at(store, NOON + 4 * SECOND) == APR_EAGAIN, "a part fails");
    is_partly_down = 0;
    ok(!ask_at(store, NOON + 4 * SECOND), "all else is asked");
    is_int(calls, 1, "at once");
    is_int(changes, 3, "which is the storage's own to tell");

    is_down = 1;
    ok(store->provider->child_init(store->instance, pool), "no child_init");
    is_down = calls = 0;
    ok(ask_at(store, NOON + 4 * SECOND) == APR_EAGAIN, "this child never asks");
    is_int(calls, 0, "indeed");
    is_int(changes, 3, "and has no more to tell");
}

int main(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
    env.process_pool = pool;
    steps();
    guard();
    apr_pool_destroy(pool);
    apr_terminate();
    return tap_done();
}
