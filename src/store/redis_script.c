/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * From counters to a script's arguments, and from its reply to verdicts.
 */

#if RLX_HAVE_HIREDIS

#include "store/redis_script.h"

#include <apr_lib.h>
#include <apr_sha1.h>
#include <apr_strings.h>

#include "core/strategies.h"
#include "redis_lua.h"

/** What the scripts count time from: 2024. */
#define BASE_USEC (INT64_C(1704067200) * 1000000)

/** Arguments of one counter at most, and signs of a number with its NUL. */
#define ARGS_EACH    11
#define NUMBER_SIGNS 21
/** How far the newest charge of a log may be ahead of the clock. */
#define CLOCK_SKEW_USEC 16384
#define TIME_LOW_MAX ((UINT64_C(1) << 50) - 1)

static const char *const strategy_names[RLX_STRATEGIES] = {
    [RLX_FIXED_WINDOW] = "f", [RLX_MOVING_WINDOW] = "m",
    [RLX_SLIDING_WINDOW_COUNTER] = "s", [RLX_GCRA] = "g"
};

static void script_init(rlx_redis_script_t *script, const char *text)
{
    unsigned char digest[APR_SHA1_DIGESTSIZE];
    apr_sha1_ctx_t sha1;

    script->text = text;
    script->len = strlen(text);
    apr_sha1_init(&sha1);
    apr_sha1_update_binary(&sha1, (const unsigned char *)text,
                           (unsigned int)script->len);
    apr_sha1_final(digest, &sha1);
    for (int i = 0; i < APR_SHA1_DIGESTSIZE; i++) {
        apr_snprintf(script->sha1 + 2 * i, 3, "%02x", digest[i]);
    }
}

void rlx_redis_scripts_init(rlx_redis_scripts_t *scripts)
{
    script_init(&scripts->decide, rlx_lua_clock rlx_lua_usual rlx_lua_common
                                  rlx_lua_decide);
    script_init(&scripts->give_back, rlx_lua_clock rlx_lua_common
                                     rlx_lua_give_back);
}

/*
 * Commands
 */

/** A command being put together; there is room for all of it. */
typedef struct builder_t {
    rlx_redis_command_t *command;
    char *text;
} builder_t;

static void add(builder_t *b, const char *text, size_t len)
{
    b->command->part[b->command->n] = text;
    b->command->len[b->command->n++] = len;
}

static void add_number(builder_t *b, uint64_t number)
{
    char *end = b->text + NUMBER_SIGNS, *from = end;

    do {
        *--from = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    add(b, from, (size_t)(end - from));
    b->text = end;
}

static void add_time(builder_t *b, const rlx_gcra_time_t *time)
{
    add_number(b, time->high);
    add_number(b, time->low);
    add_number(b, time->ticks);
}

/** Not 0 if a counter never has room: it has no state. */
static int is_closed(const rlx_counter_t *counter)
{
    return counter->limit->count == 0 || counter->limit->burst == 0;
}

static void begin(builder_t *b, rlx_redis_command_t *command,
                  const rlx_redis_script_t *script, int n,
                  const rlx_redis_key_t *keys, apr_pool_t *ptemp)
{
    apr_size_t parts = 4 + (apr_size_t)n * (1 + ARGS_EACH);

    b->command = command;
    command->n = 0;
    command->part = apr_palloc(ptemp, parts * sizeof(*command->part));
    command->len = apr_palloc(ptemp, parts * sizeof(*command->len));
    b->text = apr_palloc(ptemp, (2 + (apr_size_t)n * ARGS_EACH)
                                * NUMBER_SIGNS);
    add(b, "EVALSHA", 7);
    add(b, script->sha1, 40);
    add_number(b, (uint64_t)n);
    for (int i = 0; i < n; i++) {
        add(b, keys[i].text, keys[i].len);
    }
}

/** What gcra needs beside count and window: a product of these may be longer
 *  than what Lua's numbers hold. */
static void add_gcra(builder_t *b, const rlx_counter_t *counter)
{
    rlx_gcra_time_t most = rlx_gcra_longest(counter->limit);
    rlx_gcra_time_t cost = rlx_gcra_time_of(counter->limit, counter->cost);

    add_time(b, &most);
    add_time(b, &cost);
}

void rlx_redis_decide_command(rlx_redis_command_t *command,
                              const rlx_redis_scripts_t *scripts, int mode,
                              const rlx_redis_key_t *keys,
                              const rlx_counter_t *const *counters, int n,
                              apr_pool_t *ptemp)
{
    builder_t b;

    begin(&b, command, &scripts->decide, n, keys, ptemp);
    add_number(&b, (uint64_t)mode);
    for (int i = 0; i < n; i++) {
        const rlx_counter_t *counter = counters[i];
        int closed = is_closed(counter);

        add(&b, closed ? "0" : strategy_names[counter->limit->strategy], 1);
        add_number(&b, counter->cost);
        add(&b, counter->only_test ? "1" : "0", 1);
        add_number(&b, counter->limit->count);
        add_number(&b, (uint64_t)counter->limit->window_usec);
        if (!closed && counter->limit->strategy == RLX_GCRA) {
            add_gcra(&b, counter);
        }
    }
}

void rlx_redis_give_back_command(rlx_redis_command_t *command,
                                 const rlx_redis_scripts_t *scripts,
                                 const rlx_redis_key_t *keys,
                                 const rlx_counter_t *const *counters, int n,
                                 rlx_usec_t charged_at, apr_pool_t *ptemp)
{
    builder_t b;

    begin(&b, command, &scripts->give_back, n, keys, ptemp);
    add_number(&b, charged_at > BASE_USEC
                   ? (uint64_t)(charged_at - BASE_USEC) : 0);
    for (int i = 0; i < n; i++) {
        const rlx_counter_t *counter = counters[i];

        add(&b, strategy_names[counter->limit->strategy], 1);
        add_number(&b, counter->cost);
        add_number(&b, counter->limit->count);
        add_number(&b, (uint64_t)counter->limit->window_usec);
        if (counter->limit->strategy == RLX_GCRA) {
            add_gcra(&b, counter);
        }
    }
}

apr_status_t rlx_redis_try(rlx_redis_conn_t *conn,
                           rlx_redis_command_t *command,
                           const rlx_redis_script_t *script,
                           rlx_usec_t deadline, redisReply **reply,
                           rlx_redis_why_t *why)
{
    apr_status_t status = rlx_redis_ask(conn, command, deadline, reply, why);

    if (status == APR_SUCCESS && rlx_redis_is_error(*reply, "NOSCRIPT")) {
        freeReplyObject(*reply);
        command->part[0] = "EVAL";
        command->len[0] = 4;
        command->part[1] = script->text;
        command->len[1] = script->len;
        status = rlx_redis_ask(conn, command, deadline, reply, why);
    }
    return status;
}

/*
 * Replies
 */

/** What is left of a reply's text. */
typedef struct reader_t {
    const char *at;
    const char *end;
    int is_wrong;
} reader_t;

/** A number from 0 to most, and after it a sign, which is passed over; 0 is
 *  the end. */
static uint64_t read_number(reader_t *reader, uint64_t most, char after)
{
    uint64_t number = 0;
    const char *from = reader->at;

    while (reader->at < reader->end && apr_isdigit(*reader->at)
           && reader->at - from < 19) {
        number = number * 10 + (uint64_t)(*reader->at++ - '0');
    }
    if (reader->at == from || number > most
        || (after ? reader->at == reader->end || *reader->at != after
                  : reader->at != reader->end)) {
        reader->is_wrong = 1;
        return 0;
    }
    reader->at += after ? 1 : 0;
    return number;
}

/** Cut off the part up to the next semicolon, or up to the end. */
static reader_t read_part(reader_t *reader)
{
    reader_t part = { reader->at, NULL, 0 };

    part.end = memchr(reader->at, ';', (size_t)(reader->end - reader->at));
    if (!part.end) {
        part.end = reader->end;
        reader->at = reader->end;
    }
    else {
        reader->at = part.end + 1;
    }
    return part;
}

/** One counter's part of a reply. */
typedef struct answer_t {
    const rlx_counter_t *counter;
    int fits;
    int is_charged;
    /** What was stored before; without use for a moving window. */
    rlx_state_t state;
    /** Of a moving window: units, and times on the script's clock. */
    uint32_t used;
    rlx_usec_t oldest;
    rlx_usec_t now;
    rlx_usec_t retry_at;
} answer_t;

static void read_state(reader_t *part, answer_t *answer)
{
    rlx_gcra_time_t tat;
    rlx_usec_t start;
    uint32_t first;

    if (part->at == part->end) {
        return; /* nothing was stored: the state is 0 */
    }
    switch (answer->counter->limit->strategy) {
    case RLX_FIXED_WINDOW:
        start = (rlx_usec_t)read_number(part, RLX_REL_MAX, ' ');
        answer->state = rlx_fixed_state(
            start, (uint32_t)read_number(part, RLX_COUNT_MAX, '\0'));
        break;
    case RLX_SLIDING_WINDOW_COUNTER:
        start = (rlx_usec_t)read_number(part, RLX_REL_MAX, ' ');
        first = (uint32_t)read_number(part, RLX_COUNT_MAX, ' ');
        answer->state = rlx_sliding_state(
            start, first, (uint32_t)read_number(part, RLX_COUNT_MAX, '\0'));
        break;
    default:
        tat.high = read_number(part, RLX_COUNT_MAX, ' ');
        tat.low = read_number(part, TIME_LOW_MAX, ' ');
        tat.ticks = (uint32_t)read_number(part, RLX_COUNT_MAX, '\0');
        answer->state = rlx_gcra_state(&tat);
        break;
    }
}

/** A log that can be: its charges are inside of the window, and if there is no
 *  room one of them will leave it. */
static int is_log(const answer_t *answer, rlx_usec_t now_rel)
{
    const rlx_limit_t *limit = answer->counter->limit;
    uint64_t wanted = (uint64_t)answer->used + answer->counter->cost;

    return answer->now >= now_rel && answer->now <= now_rel + CLOCK_SKEW_USEC
           && (answer->used == 0) == (answer->oldest == 0)
           && answer->oldest <= answer->now
           && (!answer->oldest
               || answer->oldest + limit->window_usec > answer->now)
           && (wanted <= limit->count
               || answer->counter->cost > limit->count
               || answer->retry_at > answer->now);
}

static void read_moving(reader_t *part, answer_t *answer, rlx_usec_t now_rel)
{
    answer->used = (uint32_t)read_number(part, RLX_COUNT_MAX, ' ');
    answer->oldest = (rlx_usec_t)read_number(part, RLX_REL_MAX, ' ');
    answer->now = (rlx_usec_t)read_number(part, RLX_REL_MAX, ' ');
    answer->retry_at = (rlx_usec_t)read_number(part, INT64_MAX, '\0');
    part->is_wrong |= !is_log(answer, now_rel);
}

/** Read what one counter had stored. 0 if that is nonsense. */
static int read_answer(reader_t *part, answer_t *answer, rlx_usec_t now_rel)
{
    const rlx_limit_t *limit = answer->counter->limit;
    uint32_t cost = answer->counter->cost;
    rlx_state_t next;

    if (is_closed(answer->counter)) {
        return part->at == part->end;
    }
    if (limit->strategy == RLX_MOVING_WINDOW) {
        read_moving(part, answer, now_rel);
        answer->fits = (uint64_t)answer->used + cost <= limit->count;
    }
    else {
        read_state(part, answer);
        answer->fits = rlx_strategies[limit->strategy]->charge(
            answer->state, limit, cost, now_rel, &next);
    }
    return !part->is_wrong;
}

/** Not 0 if those are charged that a mode says. */
static int is_charged_right(const answer_t *answers, int n, int mode)
{
    int is_open = mode != RLX_REDIS_LOOK;

    for (int i = 0; i < n && mode == RLX_CHARGE_ATOMIC; i++) {
        is_open = is_open && answers[i].fits;
    }
    for (int i = 0; i < n; i++) {
        const rlx_counter_t *counter = answers[i].counter;

        if (answers[i].is_charged
            != (is_open && answers[i].fits && counter->cost != 0
                && !counter->only_test)) {
            return 0;
        }
        is_open = is_open && (answers[i].fits || mode != RLX_CHARGE_IN_ORDER);
    }
    return 1;
}

static void read_moving_window(const answer_t *answer, rlx_reading_t *reading,
                               rlx_usec_t *retry_at)
{
    const rlx_limit_t *limit = answer->counter->limit;
    uint32_t cost = answer->counter->cost;
    uint64_t used = (uint64_t)answer->used + (answer->is_charged ? cost : 0);
    rlx_usec_t oldest = answer->oldest;

    if (!oldest && answer->is_charged) {
        oldest = answer->now;
    }
    reading->remaining = used < limit->count
                         ? limit->count - (uint32_t)used : 0;
    reading->reset_at = oldest ? oldest + limit->window_usec : answer->now;
    *retry_at = cost > limit->count ? RLX_NEVER : answer->retry_at;
}

static void read_word(const answer_t *answer, rlx_usec_t now_rel,
                      rlx_reading_t *reading, rlx_usec_t *retry_at)
{
    const rlx_limit_t *limit = answer->counter->limit;
    const rlx_strategy_t *strategy = rlx_strategies[limit->strategy];
    uint32_t cost = answer->counter->cost;
    rlx_state_t state = answer->state;

    if (!answer->fits) {
        *retry_at = strategy->retry_at(state, limit, cost, now_rel);
    }
    if (answer->is_charged) {
        strategy->charge(answer->state, limit, cost, now_rel, &state);
    }
    strategy->read(state, limit, now_rel, reading);
}

/** From the script's clock to the caller's. */
static rlx_usec_t time_out(rlx_usec_t rel, rlx_usec_t now_rel, rlx_usec_t now)
{
    return rel >= RLX_NEVER - now ? RLX_NEVER : rel - now_rel + now;
}

static void tell(const answer_t *answer, rlx_usec_t now_rel, rlx_usec_t now,
                 rlx_verdict_t *verdict)
{
    rlx_reading_t reading = { 0, now_rel };
    rlx_usec_t retry_at = RLX_NEVER;

    if (is_closed(answer->counter)) {
        /* nothing is left, and never will be */
    }
    else if (answer->counter->limit->strategy == RLX_MOVING_WINDOW) {
        read_moving_window(answer, &reading, &retry_at);
    }
    else {
        read_word(answer, now_rel, &reading, &retry_at);
    }
    verdict->has_room = answer->fits;
    verdict->charged = answer->is_charged;
    verdict->remaining = reading.remaining;
    verdict->reset_at = time_out(reading.reset_at, now_rel, now);
    verdict->retry_at = answer->fits ? now : time_out(retry_at, now_rel, now);
    verdict->decided_at = now_rel + BASE_USEC;
}

/** The time that a reply begins with, on the script's clock. */
static rlx_usec_t read_clock(reader_t *reader)
{
    reader_t part = read_part(reader);
    uint64_t sec = read_number(&part, (BASE_USEC + RLX_REL_MAX) / 1000000,
                               ' ');
    uint64_t usec = read_number(&part, 999999, '\0');
    rlx_usec_t rel = (rlx_usec_t)(sec * 1000000 + usec) - BASE_USEC;

    reader->is_wrong = part.is_wrong || rel < 1 || rel > RLX_REL_MAX;
    return rel;
}

const char *rlx_redis_verdicts(const redisReply *reply, int mode,
                               const rlx_counter_t *const *counters, int n,
                               rlx_usec_t now, rlx_verdict_t *verdicts)
{
    answer_t answers[RLX_STORAGE_BATCH_MAX];
    reader_t reader = { NULL, NULL, 0 };
    reader_t flags;
    rlx_usec_t now_rel;

    if (reply->type != REDIS_REPLY_STRING) {
        return "no text";
    }
    /* What is no string need not have a text at all. */
    reader.at = reply->str;
    reader.end = reply->str + reply->len;
    now_rel = read_clock(&reader);
    flags = read_part(&reader);
    if (reader.is_wrong) {
        return "no time";
    }
    if (flags.end - flags.at != n) {
        return "not as many flags as counters";
    }
    memset(answers, 0, sizeof(*answers) * (size_t)n);
    for (int i = 0; i < n; i++) {
        reader_t part = read_part(&reader);

        answers[i].counter = counters[i];
        answers[i].is_charged = flags.at[i] == '1';
        if (!read_answer(&part, &answers[i], now_rel)) {
            return "a state that no counter can have";
        }
    }
    if (reader.at != reader.end || !is_charged_right(answers, n, mode)) {
        return "what was charged does not fit what was stored";
    }
    for (int i = 0; i < n; i++) {
        tell(&answers[i], now_rel, now, &verdicts[i]);
    }
    return NULL;
}

#endif /* RLX_HAVE_HIREDIS */
