/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Reading and writing the counters of a group of calls. Each server is asked
 * for all that it keeps at once, and all servers before the first is listened
 * to.
 */

#include "store/memcached_call.h"

#include <string.h>

#include <apr_strings.h>

/** Names in one line: servers take long lines for an attack. */
#define NAMES_PER_LINE 6

/* --- servers ----------------------------------------------------------- */

/** Not 0 if an answer that did not come in time does not say that a server is
 *  down: it was asked when the time was nearly over, or it has answered other
 *  threads since. On a machine with too much to do both happens. */
static int is_excused(const rlx_mc_group_t *group, const rlx_mc_asked_t *asked)
{
    return group->until - asked->asked_at < group->store->budget_usec / 4
           || __atomic_load_n(&asked->server->answered_at, __ATOMIC_RELAXED)
              > asked->asked_at;
}

/** A server did not do what it should. Where there are several, a dead one
 *  does not make the storage a dead one: then this is told as EAGAIN. */
static apr_status_t fail(rlx_mc_group_t *group, rlx_mc_asked_t *asked,
                         apr_status_t status, const char *said)
{
    rlx_mc_server_t *server = asked->server;

    if (APR_STATUS_IS_TIMEUP(status) && is_excused(group, asked)) {
        status = APR_EAGAIN;
    }
    asked->has_failed = 1;
    if (said) {
        rlx_mc_complain(group->store, server, said, group->p);
        status = !strncmp(said, "SERVER_ERROR out of memory", 26)
                 ? APR_ENOMEM : status;
    }
    if (status != APR_EAGAIN && server->breaker) {
        rlx_mc_note_failure(group->store, server, asked->ticket, group->now,
                            status, group->p);
        status = APR_EAGAIN;
    }
    return status;
}

/** Take a connection to a server, and open it. */
static apr_status_t take_link(rlx_mc_group_t *group, rlx_mc_asked_t *asked)
{
    rlx_mc_server_t *server = asked->server;
    apr_status_t status;

    if (asked->has_failed
        || (server->breaker && !asked->has_answered
            && !rlx_breaker_may_ask(server->breaker, group->now,
                                    &asked->ticket))) {
        asked->has_failed = 1;
        return APR_EAGAIN;
    }
    status = rlx_monotonic_usec() < group->until
             ? rlx_mc_link_take(server, &asked->link) : APR_EAGAIN;
    if (status != APR_SUCCESS) {
        return status;
    }
    asked->asked_at = rlx_monotonic_usec();
    if (asked->link->socket) {
        return APR_SUCCESS;
    }
    status = rlx_mc_link_open(asked->link, group->until);
    return status == APR_SUCCESS ? status : fail(group, asked, status, NULL);
}

/** Always in the same order, so that no two calls wait for each other. */
apr_status_t rlx_mc_take_links(rlx_mc_group_t *group)
{
    apr_status_t status = APR_SUCCESS;

    for (int s = 0; s < group->n_asked && status == APR_SUCCESS; s++) {
        int is_needed = 0;

        for (int i = 0; i < group->n; i++) {
            is_needed |= group->cells[i].server == s
                         && group->cells[i].is_wanted;
        }
        if (is_needed) {
            status = take_link(group, &group->asked[s]);
        }
    }
    return status;
}

/** @param is_sound 0: what was asked may yet be answered */
void rlx_mc_give_links(rlx_mc_group_t *group, int is_sound)
{
    for (int s = 0; s < group->n_asked; s++) {
        rlx_mc_asked_t *asked = &group->asked[s];

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

static apr_status_t send_text(rlx_mc_group_t *group, rlx_mc_asked_t *asked)
{
    return rlx_mc_link_send(asked->link, asked->text, asked->len, group->until);
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
static void ask_for_items(rlx_mc_group_t *group, int s)
{
    rlx_mc_asked_t *asked = &group->asked[s];
    const rlx_mc_cell_t *before = NULL;
    int in_line = 0;

    asked->len = 0;
    asked->lists = 1;
    put(asked, "gets", 4);
    for (int i = 0; i < group->n; i++) {
        const rlx_mc_cell_t *cell = &group->cells[i];

        if (cell->server != s || !cell->is_wanted) {
            continue;
        }
        if (!before || before->generation_name != cell->generation_name) {
            put_name(asked, cell->generation_name, cell->generation_name_len,
                     &in_line);
        }
        put_name(asked, cell->name, cell->name_len, &in_line);
        before = cell;
    }
    put(asked, "\r\n", 2);
}

static int is_same(const char *a, apr_size_t a_len, const char *b,
                   apr_size_t b_len)
{
    return a_len == b_len && !memcmp(a, b, a_len);
}

/** Take over a value. What is none is as good as nothing, and overwritten. */
static void keep_value(const char *value, rlx_mc_cell_t *cell)
{
    if (!rlx_mc_read_value(value, &cell->generation, &cell->state)
        || (cell->limit->strategy == RLX_FIXED_WINDOW
            && cell->state.hi > RLX_REL_MAX)) {
        memset(&cell->state, 0, sizeof(cell->state));
        cell->generation = 0;
    }
}

/** Read one cell, the line of which was read.
 *  @return RLX_MC_NONSENSE if it was not asked for */
static apr_status_t read_item(rlx_mc_group_t *group, int s, rlx_mc_item_t told)
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
    status = rlx_mc_link_data(group->asked[s].link, (apr_size_t)told.bytes,
                              value, sizeof(value), group->until);
    for (int i = 0; i < group->n && status == APR_SUCCESS; i++) {
        rlx_mc_cell_t *cell = &group->cells[i];

        if (cell->server != s || !cell->is_wanted) {
            continue;
        }
        if (is_same(cell->name, cell->name_len, told.name, told.name_len)) {
            cell->is_found = is_ours = 1;
            cell->cas = told.cas;
            keep_value(value, cell);
        }
        else if (is_same(cell->generation_name, cell->generation_name_len,
                         told.name, told.name_len)) {
            is_ours = 1;
            if (!rlx_mc_read_number(value, &cell->oldest)) {
                cell->oldest = 0;
            }
        }
    }
    return status == APR_SUCCESS && !is_ours ? RLX_MC_NONSENSE : status;
}

/** Nothing is known of the counters of a server. */
static void forget_items(rlx_mc_group_t *group, int s)
{
    for (int i = 0; i < group->n; i++) {
        rlx_mc_cell_t *cell = &group->cells[i];

        if (cell->server == s && cell->is_wanted) {
            memset(&cell->state, 0, sizeof(cell->state));
            cell->generation = cell->oldest = 0;
            cell->is_found = 0;
        }
    }
}

/** Read what a server has to say of its counters.
 *  @param said the line that was not expected, if that is what is wrong */
static apr_status_t read_items(rlx_mc_group_t *group, int s, const char **said)
{
    rlx_mc_asked_t *asked = &group->asked[s];

    forget_items(group, s);
    for (int lists = asked->lists; lists;) {
        rlx_mc_item_t told;
        char *line;
        apr_status_t status = rlx_mc_link_line(asked->link, &line,
                                               group->until);

        if (status != APR_SUCCESS) {
            return status;
        }
        if (!strcmp(line, "END")) {
            lists--;
        }
        else if (!rlx_mc_read_item(line, &told)) {
            *said = apr_pstrdup(group->p, line);
            return RLX_MC_NONSENSE;
        }
        else if ((status = read_item(group, s, told)) != APR_SUCCESS) {
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
static void drop_old_generations(rlx_mc_group_t *group, int s)
{
    for (int i = 0; i < group->n; i++) {
        rlx_mc_cell_t *cell = &group->cells[i];

        if (cell->server == s && cell->is_wanted
            && cell->generation < cell->oldest) {
            memset(&cell->state, 0, sizeof(cell->state));
            cell->generation = cell->oldest;
        }
    }
}

/** Read all counters that something is to be done with: first every server
 *  is asked, then the answers are read. */
apr_status_t rlx_mc_read_all(rlx_mc_group_t *group)
{
    for (int s = 0; s < group->n_asked; s++) {
        rlx_mc_asked_t *asked = &group->asked[s];

        if (asked->link) {
            ask_for_items(group, s);
            /* What becomes of it is seen when the answer is read. */
            (void)send_text(group, asked);
        }
    }
    for (int s = 0; s < group->n_asked; s++) {
        rlx_mc_asked_t *asked = &group->asked[s];
        const char *said = NULL;
        apr_status_t status;

        if (!asked->link) {
            continue;
        }
        status = read_items(group, s, &said);
        /* A server that was restarted has cut all connections that lie in
         * the pool. Reading may be done twice. */
        if (is_cut(status) && asked->link->is_old) {
            status = rlx_mc_link_open(asked->link, group->until);
            if (status == APR_SUCCESS) {
                status = send_text(group, asked);
            }
            if (status == APR_SUCCESS) {
                status = read_items(group, s, &said);
            }
        }
        if (status != APR_SUCCESS) {
            return fail(group, asked, status, said);
        }
        asked->has_answered = 1;
        __atomic_store_n(&asked->server->answered_at, rlx_monotonic_usec(),
                         __ATOMIC_RELAXED);
        drop_old_generations(group, s);
    }
    return APR_SUCCESS;
}

/* --- writing ----------------------------------------------------------- */

/** How long a state means anything. */
static rlx_usec_t keep_usec(const rlx_mc_cell_t *cell)
{
    const rlx_limit_t *limit = cell->limit;
    rlx_usec_t now = rlx_mc_relative(cell->now);
    rlx_reading_t reading;

    if (limit->strategy == RLX_SLIDING_WINDOW_COUNTER) {
        return limit->window_usec > RLX_NEVER / 2 ? RLX_NEVER
                                                  : 2 * limit->window_usec;
    }
    rlx_strategies[limit->strategy]->read(cell->state, limit, now, &reading);
    return reading.reset_at == RLX_NEVER ? RLX_NEVER : reading.reset_at - now;
}

static void ask_to_write(rlx_mc_group_t *group, rlx_mc_asked_t *asked,
                         const rlx_mc_cell_t *cell)
{
    char value[RLX_MC_VALUE_MAX];
    apr_size_t value_len = rlx_mc_write_value(value, cell->generation,
                                              cell->state);
    char *out = asked->text + asked->len;
    apr_int32_t ttl = rlx_mc_ttl(keep_usec(cell), cell->now);

    if (cell->is_found) {
        out += apr_snprintf(out, RLX_MC_TEXT_PER_ITEM,
                            "cas %s 0 %d %" APR_SIZE_T_FMT " %"
                            APR_UINT64_T_FMT "\r\n%s\r\n", cell->name, ttl,
                            value_len, cell->cas, value);
    }
    else {
        out += apr_snprintf(out, RLX_MC_TEXT_PER_ITEM,
                            "add %s 0 %d %" APR_SIZE_T_FMT "\r\n%s\r\n",
                            cell->name, ttl, value_len, value);
    }
    asked->len = (apr_size_t)(out - asked->text);
}

static apr_status_t read_results(rlx_mc_group_t *group, int s,
                                 const char **said)
{
    for (int i = 0; i < group->n; i++) {
        rlx_mc_cell_t *cell = &group->cells[i];
        apr_status_t status;
        char *line;

        if (cell->server != s || !cell->is_dirty) {
            continue;
        }
        status = rlx_mc_link_line(group->asked[s].link, &line, group->until);
        if (status != APR_SUCCESS) {
            return status;
        }
        switch (rlx_mc_read_stored(line)) {
        case RLX_MC_STORED:
            cell->is_stored = 1;
            break;
        case RLX_MC_LOST:
            break;
        case RLX_MC_FAILED:
            *said = apr_pstrdup(group->p, line);
            return RLX_MC_NONSENSE;
        }
    }
    return APR_SUCCESS;
}

/** Write what the plan says. The last server is heard even if one before it
 *  failed: what was charged must be known. */
apr_status_t rlx_mc_write_all(rlx_mc_group_t *group)
{
    apr_status_t result = APR_SUCCESS;

    for (int s = 0; s < group->n_asked; s++) {
        rlx_mc_asked_t *asked = &group->asked[s];

        asked->len = 0;
        for (int i = 0; i < group->n; i++) {
            if (group->cells[i].server == s && group->cells[i].is_dirty) {
                ask_to_write(group, asked, &group->cells[i]);
            }
        }
        if (asked->len) {
            (void)send_text(group, asked);
        }
    }
    for (int s = 0; s < group->n_asked; s++) {
        rlx_mc_asked_t *asked = &group->asked[s];
        const char *said = NULL;
        apr_status_t status = asked->len ? read_results(group, s, &said)
                                         : APR_SUCCESS;

        if (status != APR_SUCCESS) {
            result = fail(group, asked, status, said);
        }
    }
    return result;
}

