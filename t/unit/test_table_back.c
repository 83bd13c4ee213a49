/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Giving back, by the table: the log of a moving window against a list of
 * charges, the other strategies by hand; and counters that are only tested.
 */

#include "table_fixture.h"

#define MB (1024 * 1024)

static rlx_verdict_t look(const rlx_table_t *table,
                          const rlx_counter_t *counter, rlx_usec_t now)
{
    rlx_verdict_t v;

    rlx_table_look(table, counter, 1, now, &v);
    return v;
}

static void give_back(const rlx_table_t *table, const rlx_counter_t *counter,
                      uint32_t cost, rlx_usec_t charged_at, rlx_usec_t now)
{
    rlx_counter_t part = *counter;

    part.cost = cost;
    rlx_table_give_back(table, &part, 1, charged_at, now);
}

/* --- by hand ----------------------------------------------------------- */

static void test_each(rlx_strategy_e strategy)
{
    rlx_table_t table = table_make(MB);
    rlx_limit_t limit = limit_of(strategy, 3, HOUR);
    rlx_counter_t counter = counter_of(&limit, 1);
    rlx_table_figures_t figures;
    rlx_verdict_t v;

    rlx_table_give_back(&table, &counter, 1, NOW, NOW);
    rlx_table_figures(&table, NOW, &figures);
    is_int(figures.used, 0, strategy_name[strategy]);
    hit(&table, &counter, NOW);
    hit(&table, &counter, NOW);
    hit(&table, &counter, NOW);
    ok(!hit(&table, &counter, NOW), "full");
    give_back(&table, &counter, 0, NOW, NOW);
    give_back(&table, &counter, 1, NOW + 1, NOW);
    counter.only_test = 1;
    give_back(&table, &counter, 1, NOW, NOW);
    counter.only_test = 0;
    is_int(look(&table, &counter, NOW).remaining, 0,
           "nothing for a cost of 0, in the future, only tested");
    give_back(&table, &counter, 1, NOW, NOW);
    is_int(look(&table, &counter, NOW).remaining, 1, "one given back");
    ok(hit(&table, &counter, NOW) && !hit(&table, &counter, NOW),
       "room for one and no more");
    give_back(&table, &counter, 1, NOW, NOW);
    give_back(&table, &counter, 1, NOW, NOW);
    give_back(&table, &counter, 1, NOW, NOW);
    v = look(&table, &counter, NOW);
    ok(v.remaining == 3 && v.reset_at == NOW, "all given back");
    rlx_table_figures(&table, NOW, &figures);
    is_int(figures.used + figures.log_used, 0, "it takes no place");
    hit(&table, &counter, NOW + SEC);
    give_back(&table, &counter, 1, NOW, NOW + SEC);
    is_int(look(&table, &counter, NOW + SEC).remaining, 2,
           "the charge of somebody else, later");
    rlx_table_forget(&table, &counter);
    hit(&table, &counter, NOW + 2 * SEC);
    give_back(&table, &counter, 2, NOW + SEC, NOW + 2 * SEC);
    is_int(look(&table, &counter, NOW + 2 * SEC).remaining, 2,
           "forgotten meanwhile: left alone");
    ok(is_valid(&table), "valid");
    table_free(&table, MB);
}

/* A ring full of what was given back is as good as an empty one. */
static void test_voids(uint32_t count, uint32_t cost)
{
    rlx_table_t table = table_make(MB);
    rlx_limit_t limit = limit_of(RLX_MOVING_WINDOW, count, HOUR);
    rlx_counter_t counter = counter_of(&limit, count);
    rlx_verdict_t v;
    uint32_t i;

    for (i = 0; i < count; ++i) {
        hit(&table, &counter, NOW + i * SEC);
    }
    for (i = 1; i + 1 < count; ++i) {
        give_back(&table, &counter, 1, NOW + i * SEC, NOW + count * SEC);
    }
    v = look(&table, &counter, NOW + count * SEC);
    ok(v.remaining == count - 2 && v.reset_at == NOW + HOUR && v.has_room,
       "%u charges, all but the first and last given back", count);
    ok(is_valid(&table), "valid");
    counter.cost = cost;
    for (i = 0; i < (count - 2) / cost; ++i) {
        if (!hit(&table, &counter, NOW + (count + i) * SEC)) {
            break;
        }
    }
    is_int(i, (count - 2) / cost, "room for as many again");
    ok(is_valid(&table), "valid");
    counter.cost = count - (count - 2) % cost;
    v = look(&table, &counter, NOW + HOUR - 1);
    is_int(v.retry_at,
           cost == 1 && count > 2 ? NOW + HOUR + (2 * count - 3) * SEC
                                  : v.retry_at,
           "all has room when all have left");
    table_free(&table, MB);
}

/* The time to retry does not count entries that were given back. */
static void test_retry(void)
{
    rlx_table_t table = table_make(MB);
    rlx_limit_t limit = limit_of(RLX_MOVING_WINDOW, 100, HOUR);
    rlx_counter_t counter = counter_of(&limit, 1);
    rlx_verdict_t v;
    int i;

    counter.cost = 2;
    hit(&table, &counter, NOW);
    counter.cost = 1;
    for (i = 1; i <= 98; ++i) {
        hit(&table, &counter, NOW + i * SEC);
    }
    for (i = 2; i <= 98; ++i) {
        give_back(&table, &counter, 1, NOW + i * SEC, NOW + 99 * SEC);
        if (i == 2) {
            ok(hit(&table, &counter, NOW + 99 * SEC), "the ring is full");
        }
    }
    counter.cost = 98;
    rlx_table_decide(&table, RLX_CHARGE_ATOMIC, &counter, 1, NOW + 99 * SEC,
                     &v);
    ok(!v.has_room && v.remaining == 96, "4 and 98 are more than 100");
    is_int(v.retry_at, NOW + HOUR, "when the first has left");
    ok(hit(&table, &counter, v.retry_at), "and so it is");
    ok(is_valid(&table), "valid");
    table_free(&table, MB);
}

/* What is given back does not keep a counter alive. */
static void test_life(void)
{
    rlx_table_t table = table_make(MB);
    rlx_limit_t limit = limit_of(RLX_MOVING_WINDOW, 5, HOUR);
    rlx_counter_t counter = counter_of(&limit, 1);
    rlx_table_figures_t figures;

    hit(&table, &counter, NOW);
    hit(&table, &counter, NOW + 60 * SEC);
    give_back(&table, &counter, 1, NOW + 60 * SEC, NOW + 61 * SEC);
    rlx_table_figures(&table, NOW + HOUR - SEC, &figures);
    is_int(figures.used, 1, "the first charge lives its hour");
    rlx_table_figures(&table, NOW + HOUR + SEC, &figures);
    is_int(figures.used, 0, "and no longer");
    table_free(&table, MB);
}

/* A thread that read its clock before another was quicker is entered at that
 * one's time, and found there. */
static void test_skew(void)
{
    rlx_table_t table = table_make(MB);
    rlx_limit_t limit = limit_of(RLX_MOVING_WINDOW, 5, HOUR);
    rlx_counter_t counter = counter_of(&limit, 1);

    hit(&table, &counter, NOW + 500);
    hit(&table, &counter, NOW);
    give_back(&table, &counter, 1, NOW, NOW + SEC);
    is_int(look(&table, &counter, NOW + SEC).remaining, 4, "skew: found");
    give_back(&table, &counter, 1, NOW + 500, NOW + SEC);
    is_int(look(&table, &counter, NOW + SEC).remaining, 5, "the other too");
    hit(&table, &counter, NOW + 5000);
    give_back(&table, &counter, 1, NOW + HOUR, NOW + HOUR + 4999);
    give_back(&table, &counter, 1, NOW + 4999, NOW + HOUR + 4999);
    is_int(look(&table, &counter, NOW + HOUR + 4999).remaining, 4,
           "one that has left its window is not taken from another");
    table_free(&table, MB);
}

/* --- the model --------------------------------------------------------- */

#define CHARGES 3000

typedef struct charge_t {
    rlx_usec_t at;
    uint32_t left;
} charge_t;

typedef struct model_t {
    rlx_limit_t limit;
    rlx_counter_t counter;
    charge_t charge[CHARGES];
    int n;
} model_t;

static uint32_t sum_at(const model_t *m, rlx_usec_t now, rlx_usec_t *oldest)
{
    uint32_t sum = 0;
    int i;

    *oldest = 0;
    for (i = 0; i < m->n; ++i) {
        if (m->charge[i].at > now - m->limit.window_usec
            && m->charge[i].left != 0) {
            sum += m->charge[i].left;
            *oldest = *oldest ? *oldest : m->charge[i].at;
        }
    }
    return sum;
}

static rlx_usec_t retry_of(const model_t *m, uint32_t cost, rlx_usec_t now)
{
    rlx_usec_t oldest;
    rlx_usec_t at;
    int i;

    if (cost > m->limit.count) {
        return RLX_NEVER;
    }
    if (sum_at(m, now, &oldest) + cost <= m->limit.count) {
        return now;
    }
    for (i = 0; i < m->n; ++i) {
        at = m->charge[i].at + m->limit.window_usec;
        if (at > now && m->charge[i].left != 0
            && sum_at(m, at, &oldest) + cost <= m->limit.count) {
            return at;
        }
    }
    return RLX_NEVER;
}

static int step_charge(const rlx_table_t *table, model_t *m, rlx_usec_t now,
                       unsigned int *seed)
{
    uint32_t cost = rand_r(seed) % 3 ? 1 + (uint32_t)rand_r(seed) % 3
                                     : 1 + (uint32_t)rand_r(seed) % 130;
    rlx_usec_t retry_at = retry_of(m, cost, now);
    rlx_usec_t oldest;
    rlx_verdict_t v;
    uint32_t sum;

    m->counter.cost = cost;
    m->counter.only_test = rand_r(seed) % 8 == 0;
    rlx_table_decide(table, RLX_CHARGE_ATOMIC, &m->counter, 1, now, &v);
    if (v.charged) {
        m->charge[m->n].at = now;
        m->charge[m->n++].left = cost;
    }
    sum = sum_at(m, now, &oldest);
    return v.retry_at == retry_at && !v.has_room == (retry_at != now)
           && !v.charged == (retry_at != now || m->counter.only_test)
           && v.remaining == m->limit.count - sum
           && v.reset_at
                  == (oldest ? oldest + m->limit.window_usec : now);
}

/* Give back one of the last few charges, or a part of it. */
static void step_back(const rlx_table_t *table, model_t *m, rlx_usec_t now,
                      int in_parts, unsigned int *seed)
{
    int back = 1 + rand_r(seed) % (rand_r(seed) % 4 ? 4 : 40);
    charge_t *c = &m->charge[back < m->n ? m->n - back : 0];
    uint32_t cost = c->left;

    if (m->n == 0 || c->left == 0) {
        return;
    }
    if (in_parts && rand_r(seed) % 2) {
        cost = 1 + (uint32_t)rand_r(seed) % c->left;
    }
    m->counter.only_test = 0;
    give_back(table, &m->counter, cost, c->at, now);
    c->left -= cost;
}

static int run_model(unsigned int *seed, int in_parts)
{
    static const uint32_t counts[] = { 1, 3, 4, 10, 64, 200, 1500 };
    static model_t m;
    rlx_table_t table = table_make(MB);
    rlx_usec_t now = NOW;
    int differ = 0;
    int i;

    m.n = 0;
    m.limit = limit_of(RLX_MOVING_WINDOW, counts[rand_r(seed) % 7],
                       (1 + (rlx_usec_t)(rand_r(seed) % 20)) * SEC);
    m.counter = counter_of(&m.limit, (uint64_t)rand_r(seed));
    for (i = 0; i < CHARGES; ++i) {
        if (rand_r(seed) % 5 < 2) {
            step_back(&table, &m, now, in_parts, seed);
        }
        else {
            differ += !step_charge(&table, &m, now, seed);
        }
        /* Parts of charges of the same time cannot be told apart. */
        now += rand_r(seed) % 3 == 0 ? in_parts
               : rand_r(seed) % 50 == 0
                   ? 1 + rand_r(seed) % (2 * m.limit.window_usec)
                   : 1 + rand_r(seed) % 30000;
    }
    differ += !is_valid(&table);
    table_free(&table, MB);
    return differ;
}

static void test_model(void)
{
    unsigned int seed = 11;
    int differ = 0;
    int i;

    for (i = 0; i < 60; ++i) {
        differ += run_model(&seed, i % 2);
    }
    is_int(differ, 0, "moving-window, charges and give-backs: as a list of "
                      "charges says");
}

/* --- only tested ------------------------------------------------------- */

static void test_only_test(rlx_strategy_e strategy)
{
    static const rlx_charge_e modes[] = { RLX_CHARGE_ATOMIC,
                                          RLX_CHARGE_IN_ORDER,
                                          RLX_CHARGE_ALL };
    rlx_table_t table = table_make(MB);
    rlx_limit_t limit = limit_of(strategy, 2, HOUR);
    rlx_counter_t c[3];
    rlx_table_figures_t figures;
    rlx_verdict_t v[3];
    int i;

    for (i = 0; i < 3; ++i) {
        c[i] = counter_of(&limit, (uint64_t)i);
    }
    c[1].only_test = 1;
    rlx_table_decide(&table, RLX_CHARGE_ATOMIC, &c[1], 1, NOW, &v[1]);
    rlx_table_figures(&table, NOW, &figures);
    ok(v[1].has_room && !v[1].charged && v[1].remaining == 2
           && v[1].retry_at == NOW && figures.used == 0,
       "%s: a new key only tested takes no place", strategy_name[strategy]);
    rlx_table_decide(&table, RLX_CHARGE_ATOMIC, c, 3, NOW, v);
    ok(v[0].charged && !v[1].charged && v[2].charged && v[1].has_room
           && v[1].remaining == 2 && v[0].remaining == 1,
       "with room, the others are charged");
    c[1].only_test = 0;
    hit(&table, &c[1], NOW);
    c[1].only_test = 1;
    ok(!hit(&table, &c[1], NOW) && look(&table, &c[1], NOW).remaining == 1,
       "one that is there is not charged alone either");
    c[1].cost = 2;
    rlx_table_decide(&table, RLX_CHARGE_ATOMIC, &c[1], 1, NOW, &v[1]);
    ok(!v[1].has_room && v[1].remaining == 1 && v[1].retry_at > NOW,
       "its cost is what is tested");
    for (i = 0; i < 3; ++i) {
        rlx_table_decide(&table, modes[i], c, 3, NOW, v);
        ok(!v[1].has_room && !v[1].charged && v[1].remaining == 1
               && !v[0].charged == (i == 0 || i > 1)
               && !v[2].charged == (i != 2),
           "without room, mode %d", i);
    }
    ok(is_valid(&table), "valid");
    table_free(&table, MB);
}

/* A named limit whose count is edited between charge and give-back. */
static void test_named(rlx_strategy_e strategy)
{
    rlx_table_t table = table_make(MB);
    rlx_limit_t limit = limit_of(strategy, 10, HOUR);
    rlx_counter_t counter = counter_of(&limit, 1);
    int i;

    counter.is_named = 1;
    for (i = 0; i < 10; ++i) {
        hit(&table, &counter, NOW + i);
    }
    limit.count = limit.burst = 100;
    give_back(&table, &counter, 1, NOW + 4, NOW + 9);
    ok(strategy == RLX_GCRA
           || look(&table, &counter, NOW + 9).remaining == 91,
       "%s: a named limit, count raised", strategy_name[strategy]);
    limit.count = limit.burst = 4;
    for (i = 5; i < 10; ++i) {
        give_back(&table, &counter, 1, NOW + i, NOW + 9);
    }
    ok(strategy == RLX_GCRA || look(&table, &counter, NOW + 9).remaining == 0,
       "lowered: four stand");
    give_back(&table, &counter, 1, NOW, NOW + 9);
    ok(strategy == RLX_GCRA || look(&table, &counter, NOW + 9).remaining == 1,
       "one more");
    ok(is_valid(&table), "valid");
    table_free(&table, MB);
}

int main(void)
{
    int i;

    for (i = 0; i < RLX_STRATEGIES; ++i) {
        test_each((rlx_strategy_e)i);
        test_only_test((rlx_strategy_e)i);
        test_named((rlx_strategy_e)i);
    }
    test_voids(3, 1);
    test_voids(4, 2);
    test_voids(100, 1);
    test_voids(400, 70);
    test_retry();
    test_life();
    test_skew();
    test_model();
    return tap_done();
}
