/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Reading and writing the counters of one call. Each server is asked for all
 * that it keeps at once, and all servers before the first is listened to.
 */

#include "store/memcached_call.h"

#include <string.h>

#include <apr_strings.h>

/** Names in one line: servers take long lines for an attack. */
#define NAMES_PER_LINE 6

/* --- servers ----------------------------------------------------------- */

/** A server did not do what it should. Where there are several, a dead one
 *  does not make the storage a dead one: then this is told as EAGAIN. */
static apr_status_t fail(rlx_mc_call_t *call, rlx_mc_asked_t *asked,
                         apr_status_t status, const char *said)
{
    rlx_mc_server_t *server = asked->server;

    /* One that was asked when the time was nearly over is not to blame. */
    if (APR_STATUS_IS_TIMEUP(status)
        && call->until - asked->asked_at < call->store->budget_usec / 4) {
        status = APR_EAGAIN;
    }
    asked->has_failed = 1;
    if (said) {
        rlx_mc_complain(call->store, server, said, call->p);
        status = !strncmp(said, "SERVER_ERROR out of memory", 26)
                 ? APR_ENOMEM : status;
    }
    if (status != APR_EAGAIN && server->breaker) {
        rlx_mc_note_failure(call->store, server, asked->ticket, call->now,
                            status, call->p);
        status = APR_EAGAIN;
    }
    return status;
}

/** Take a connection to a server, and open it. */
static apr_status_t take_link(rlx_mc_call_t *call, rlx_mc_asked_t *asked)
{
    rlx_mc_server_t *server = asked->server;
    apr_status_t status;

    if (asked->has_failed
        || (server->breaker && !asked->has_answered
            && !rlx_breaker_may_ask(server->breaker, call->now,
                                    &asked->ticket))) {
        asked->has_failed = 1;
        return APR_EAGAIN;
    }
    status = rlx_mc_link_take(server, &asked->link);
    if (status != APR_SUCCESS) {
        return status;
    }
    asked->asked_at = rlx_mc_clock();
    if (asked->link->socket) {
        return APR_SUCCESS;
    }
    status = rlx_mc_link_open(asked->link, call->until);
    return status == APR_SUCCESS ? status : fail(call, asked, status, NULL);
}

/** Always in the same order, so that no two calls wait for each other. */
apr_status_t rlx_mc_take_links(rlx_mc_call_t *call)
{
    apr_status_t status = APR_SUCCESS;

    for (int s = 0; s < call->n_asked && status == APR_SUCCESS; s++) {
        int is_needed = 0;

        for (int i = 0; i < call->n; i++) {
            is_needed |= call->items[i].server == s
                         && call->items[i].duty != RLX_MC_NOTHING;
        }
        if (is_needed) {
            status = take_link(call, &call->asked[s]);
        }
    }
    return status;
}

/** @param is_sound 0: what was asked may yet be answered */
void rlx_mc_give_links(rlx_mc_call_t *call, int is_sound)
{
    for (int s = 0; s < call->n_asked; s++) {
        rlx_mc_asked_t *asked = &call->asked[s];

        if (asked->link) {
            rlx_mc_link_give(asked->link, is_sound);
            asked->link = NULL;
        }
    }
}

static void put(rlx_mc_asked_t *asked, const char *text, apr_size_t len)
{
    memcpy(asked->text + asked->len, text, len);
    asked->len += len;
}

static apr_status_t send_text(rlx_mc_call_t *call, rlx_mc_asked_t *asked)
{
    return rlx_mc_link_send(asked->link, asked->text, asked->len, call->until);
}

/* --- reading ----------------------------------------------------------- */

static void put_name(rlx_mc_asked_t *asked, const char *name, apr_size_t len,
                     int *in_line)
{
    if (*in_line == NAMES_PER_LINE) {
        put(asked, "\r\ngets", 6);
        asked->lists++;
        *in_line = 0;
    }
    put(asked, " ", 1);
    put(asked, name, len);
    ++*in_line;
}

/** Write down the question for all counters of a server, and for what
 *  generation counts; nearly always the same for all. */
static void ask_for_items(rlx_mc_call_t *call, int s)
{
    rlx_mc_asked_t *asked = &call->asked[s];
    const rlx_mc_counter_t *before = NULL;
    int in_line = 0;

    asked->len = 0;
    asked->lists = 1;
    put(asked, "gets", 4);
    for (int i = 0; i < call->n; i++) {
        const rlx_mc_counter_t *item = &call->items[i];

        if (item->server != s || item->duty == RLX_MC_NOTHING) {
            continue;
        }
        if (!before || before->generation_name != item->generation_name) {
            put_name(asked, item->generation_name, item->generation_name_len,
                     &in_line);
        }
        put_name(asked, item->name, item->name_len, &in_line);
        before = item;
    }
    put(asked, "\r\n", 2);
}

static int is_same(const char *a, apr_size_t a_len, const char *b,
                   apr_size_t b_len)
{
    return a_len == b_len && !memcmp(a, b, a_len);
}

/** Take over a value. What is none is as good as nothing, and overwritten. */
static void keep_value(const char *value, rlx_mc_counter_t *item)
{
    if (!rlx_mc_read_value(value, &item->generation, &item->state)
        || (item->counter->limit->strategy == RLX_FIXED_WINDOW
            && item->state.hi > RLX_REL_MAX)) {
        memset(&item->state, 0, sizeof(item->state));
        item->generation = 0;
    }
}

/** Read one item, the line of which was read.
 *  @return RLX_MC_NONSENSE if it was not asked for */
static apr_status_t read_item(rlx_mc_call_t *call, int s, rlx_mc_item_t told)
{
    char value[RLX_MC_VALUE_MAX];
    char name[RLX_MC_NAME_MAX + 1];
    apr_status_t status;
    int is_ours = 0;

    if (told.name_len > RLX_MC_NAME_MAX) {
        return RLX_MC_NONSENSE;
    }
    /* The line goes when the value is read. */
    told.name = memcpy(name, told.name, told.name_len);
    status = rlx_mc_link_data(call->asked[s].link, (apr_size_t)told.bytes,
                              value, sizeof(value), call->until);
    for (int i = 0; i < call->n && status == APR_SUCCESS; i++) {
        rlx_mc_counter_t *item = &call->items[i];

        if (item->server != s || item->duty == RLX_MC_NOTHING) {
            continue;
        }
        if (is_same(item->name, item->name_len, told.name, told.name_len)) {
            item->is_found = is_ours = 1;
            item->cas = told.cas;
            keep_value(value, item);
        }
        else if (is_same(item->generation_name, item->generation_name_len,
                         told.name, told.name_len)) {
            is_ours = 1;
            if (!rlx_mc_read_number(value, &item->oldest)) {
                item->oldest = 0;
            }
        }
    }
    return status == APR_SUCCESS && !is_ours ? RLX_MC_NONSENSE : status;
}

/** Nothing is known of the counters of a server. */
static void forget_items(rlx_mc_call_t *call, int s)
{
    for (int i = 0; i < call->n; i++) {
        rlx_mc_counter_t *item = &call->items[i];

        if (item->server == s && item->duty != RLX_MC_NOTHING) {
            memset(&item->state, 0, sizeof(item->state));
            item->generation = item->oldest = 0;
            item->is_found = 0;
        }
    }
}

/** Read what a server has to say of its counters.
 *  @param said the line that was not expected, if that is what is wrong */
static apr_status_t read_items(rlx_mc_call_t *call, int s, const char **said)
{
    rlx_mc_asked_t *asked = &call->asked[s];

    forget_items(call, s);
    for (int lists = asked->lists; lists;) {
        rlx_mc_item_t told;
        char *line;
        apr_status_t status = rlx_mc_link_line(asked->link, &line,
                                               call->until);

        if (status != APR_SUCCESS) {
            return status;
        }
        if (!strcmp(line, "END")) {
            lists--;
        }
        else if (!rlx_mc_read_item(line, &told)) {
            *said = apr_pstrdup(call->p, line);
            return RLX_MC_NONSENSE;
        }
        else if ((status = read_item(call, s, told)) != APR_SUCCESS) {
            return status;
        }
    }
    return APR_SUCCESS;
}

/** Not 0 if the server cut the connection. */
static int is_cut(apr_status_t status)
{
    return APR_STATUS_IS_EOF(status) || APR_STATUS_IS_ECONNRESET(status)
           || APR_STATUS_IS_EPIPE(status);
}

/** What was written in an earlier generation is forgotten. */
static void drop_old_generations(rlx_mc_call_t *call, int s)
{
    for (int i = 0; i < call->n; i++) {
        rlx_mc_counter_t *item = &call->items[i];

        if (item->server == s && item->duty != RLX_MC_NOTHING
            && item->generation < item->oldest) {
            memset(&item->state, 0, sizeof(item->state));
            item->generation = item->oldest;
        }
    }
}

/** Read all counters that something is to be done with: first every server
 *  is asked, then the answers are read. */
apr_status_t rlx_mc_read_all(rlx_mc_call_t *call)
{
    for (int s = 0; s < call->n_asked; s++) {
        rlx_mc_asked_t *asked = &call->asked[s];

        if (asked->link) {
            ask_for_items(call, s);
            /* What becomes of it is seen when the answer is read. */
            (void)send_text(call, asked);
        }
    }
    for (int s = 0; s < call->n_asked; s++) {
        rlx_mc_asked_t *asked = &call->asked[s];
        const char *said = NULL;
        apr_status_t status;

        if (!asked->link) {
            continue;
        }
        status = read_items(call, s, &said);
        /* A server that was restarted has cut all connections that lie in
         * the pool. Reading may be done twice. */
        if (is_cut(status) && asked->link->is_old) {
            status = rlx_mc_link_open(asked->link, call->until);
            if (status == APR_SUCCESS) {
                status = send_text(call, asked);
            }
            if (status == APR_SUCCESS) {
                status = read_items(call, s, &said);
            }
        }
        if (status != APR_SUCCESS) {
            return fail(call, asked, status, said);
        }
        asked->has_answered = 1;
        drop_old_generations(call, s);
    }
    return APR_SUCCESS;
}

/* --- writing ----------------------------------------------------------- */

/** How long a state means anything. */
static rlx_usec_t keep_usec(const rlx_mc_call_t *call,
                            const rlx_mc_counter_t *item)
{
    const rlx_limit_t *limit = item->counter->limit;
    rlx_usec_t now = rlx_mc_relative(call->now);
    rlx_reading_t reading;

    switch (limit->strategy) {
    case RLX_SLIDING_WINDOW_COUNTER:
        return limit->window_usec > RLX_NEVER / 2 ? RLX_NEVER
                                                  : 2 * limit->window_usec;
    default:
        rlx_mc_strategy_of(item)->read(item->next, limit, now, &reading);
        return reading.reset_at == RLX_NEVER ? RLX_NEVER
                                             : reading.reset_at - now;
    }
}

static void ask_to_write(rlx_mc_call_t *call, rlx_mc_asked_t *asked,
                         const rlx_mc_counter_t *item)
{
    char value[RLX_MC_VALUE_MAX];
    apr_size_t value_len = rlx_mc_write_value(value, item->generation,
                                              item->next);
    char *out = asked->text + asked->len;
    apr_int32_t ttl = rlx_mc_ttl(keep_usec(call, item), call->now);

    if (item->is_found) {
        out += apr_snprintf(out, RLX_MC_TEXT_PER_ITEM,
                            "cas %s 0 %d %" APR_SIZE_T_FMT " %"
                            APR_UINT64_T_FMT "\r\n%s\r\n", item->name, ttl,
                            value_len, item->cas, value);
    }
    else {
        out += apr_snprintf(out, RLX_MC_TEXT_PER_ITEM,
                            "add %s 0 %d %" APR_SIZE_T_FMT "\r\n%s\r\n",
                            item->name, ttl, value_len, value);
    }
    asked->len = (apr_size_t)(out - asked->text);
}

/** It is as we wrote it. */
static void keep_written(rlx_mc_counter_t *item)
{
    item->is_charged = item->duty == RLX_MC_CHARGE;
    item->state = item->next;
    item->duty = RLX_MC_NOTHING;
}

static apr_status_t read_results(rlx_mc_call_t *call, int s, const char **said)
{
    for (int i = 0; i < call->n; i++) {
        rlx_mc_counter_t *item = &call->items[i];
        apr_status_t status;
        char *line;

        if (item->server != s || !item->is_written) {
            continue;
        }
        status = rlx_mc_link_line(call->asked[s].link, &line, call->until);
        if (status != APR_SUCCESS) {
            return status;
        }
        switch (rlx_mc_read_stored(line)) {
        case RLX_MC_STORED:
            keep_written(item);
            break;
        case RLX_MC_LOST:
            break;
        case RLX_MC_FAILED:
            *said = apr_pstrdup(call->p, line);
            return RLX_MC_NONSENSE;
        }
    }
    return APR_SUCCESS;
}

/** Write what the plan says. The last server is heard even if one before it
 *  failed: what was charged must be known. */
apr_status_t rlx_mc_write_all(rlx_mc_call_t *call)
{
    apr_status_t result = APR_SUCCESS;

    for (int s = 0; s < call->n_asked; s++) {
        rlx_mc_asked_t *asked = &call->asked[s];

        asked->len = 0;
        for (int i = 0; i < call->n; i++) {
            if (call->items[i].server == s && call->items[i].is_written) {
                ask_to_write(call, asked, &call->items[i]);
            }
        }
        if (asked->len) {
            (void)send_text(call, asked);
        }
    }
    for (int s = 0; s < call->n_asked; s++) {
        rlx_mc_asked_t *asked = &call->asked[s];
        const char *said = NULL;
        apr_status_t status = asked->len ? read_results(call, s, &said)
                                         : APR_SUCCESS;

        if (status != APR_SUCCESS) {
            result = fail(call, asked, status, said);
        }
    }
    return result;
}

