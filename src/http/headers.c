/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Response fields. They are set by an output filter that runs after
 * mod_cache's, so that a cached response never carries those of the client
 * that it was made for, and just before the head is written, so that they say
 * what is left then. The response is known there, so it is also the place
 * where limits that depend on it are settled.
 */

#include "http/headers.h"

#include <apr_date.h>
#include <apr_lib.h>
#include <apr_strings.h>

#include "http_core.h"
#include "http_protocol.h"
#include "http_request.h"
#include "mod_core.h"
#include "util_filter.h"

#include "http/breach.h"
#include "http/digits.h"
#include "http/manner.h"
#include "http/settle.h"

#define FILTER_NAME "RATELIMIT_HEADERS"

const char *rlx_policy_name(const rlx_decision_t *decision)
{
    const char *name = decision->rule->options->name;

    return name ? name : decision->limit->text;
}

/** Set a field that no one else's value may stand beside. */
static void set_field(request_rec *r, const char *name, const char *value)
{
    if (!apr_is_empty_table(r->err_headers_out)) {
        apr_table_unset(r->err_headers_out, name);
    }
    apr_table_setn(r->headers_out, name, value);
}

/** Not 0 if a field's name in a table begins with this letter. */
static int has_initial(const apr_table_t *table, char letter)
{
    const apr_array_header_t *fields = apr_table_elts(table);
    const apr_table_entry_t *field = (const apr_table_entry_t *)fields->elts;
    const apr_table_entry_t *end = field + fields->nelts;

    while (field < end && (field->key[0] ^ letter) & ~0x20) {
        field++;
    }
    return field < end;
}

/** Set three fields that begin with the same letters. APR compares each with
 *  all that do before it sets it; where nobody else has any, that is spared. */
static void set_alike(request_rec *r, const char *const *names,
                      const char *const *values)
{
    int is_first = apr_is_empty_table(r->err_headers_out)
                   && !has_initial(r->headers_out, names[0][0]);

    for (int i = 0; i < 3; i++) {
        if (is_first) {
            apr_table_addn(r->headers_out, names[i], values[i]);
        }
        else {
            set_field(r, names[i], values[i]);
        }
    }
}

/** X-RateLimit-*: one limit speaks for all. */
static void x_ratelimit(request_rec *r, const rlx_request_t *request)
{
    static const char *const usual[] = {
        "X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"
    };
    const rlx_decision_t *decision = rlx_request_spokesman(request);
    const rlx_manner_t *manner = rlx_manner_of(request->decided_in);
    char *room = apr_palloc(r->pool, 2 * RLX_DIGITS_ROOM);
    const char *values[] = {
        decision->rule->count_text,
        rlx_digits_in(room, decision->verdict.remaining),
        rlx_digits_in(room + RLX_DIGITS_ROOM,
                      (apr_uint64_t)rlx_seconds_up(
                          decision->verdict.reset_at))
    };

    if (!manner) {
        set_alike(r, usual, values);
        return;
    }
    for (int i = 0; i < 3; i++) {
        set_field(r, rlx_manner_field(manner, (rlx_field_e)(RLX_FIELD_LIMIT
                                                            + i), usual[i]),
                  values[i]);
    }
}

/** Room for an item of a list, but for its name. */
#define ITEM_ROOM (sizeof(", \"\";q=;w=") + 2 * RLX_DIGITS_ROOM)

/** Write a parameter of an item.
 *  @return its end */
static char *put_parameter(char *out, char name, apr_uint64_t value)
{
    char room[RLX_DIGITS_ROOM];
    const char *digits = rlx_digits_in(room, value);
    apr_size_t len = (apr_size_t)(room + RLX_DIGITS_ROOM - 1 - digits);

    *out++ = ';';
    *out++ = name;
    *out++ = '=';
    memcpy(out, digits, len);
    return out + len;
}

/** Write what an item begins with, and what parts it from the one before.
 *  @return its end */
static char *put_name(char *out, int is_first, const char *name,
                      apr_size_t len)
{
    if (!is_first) {
        *out++ = ',';
        *out++ = ' ';
    }
    *out++ = '"';
    memcpy(out, name, len);
    out[len] = '"';
    return out + len + 1;
}

/** Room for the items of all decisions. */
static apr_size_t room_of_items(const rlx_request_t *request)
{
    apr_size_t room = 1;

    for (int i = 0; i < request->n; i++) {
        room += strlen(rlx_policy_name(&request->decisions[i])) + ITEM_ROOM;
    }
    return room;
}

/** RateLimit-Policy and RateLimit of draft-ietf-httpapi-ratelimit-headers-10:
 *  lists of structured strings with parameters. Names hold no character that
 *  needs escaping there: the configuration sees to that. By hand: with
 *  apr_psprintf() it would be 4,000 instructions for each limit. */
static void ietf(request_rec *r, const rlx_request_t *request)
{
    apr_size_t room = room_of_items(request);
    char *policies = apr_palloc(r->pool, 2 * room);
    char *states = policies + room;
    char *policy = policies, *state = states;

    for (int i = 0; i < request->n; i++) {
        const rlx_decision_t *decision = &request->decisions[i];
        const char *name = rlx_policy_name(decision);
        apr_size_t len = strlen(name);
        rlx_usec_t left = decision->verdict.reset_at - request->now_usec;

        policy = put_name(policy, i == 0, name, len);
        policy = put_parameter(policy, 'q', decision->limit->count);
        policy = put_parameter(policy, 'w',
                               (apr_uint64_t)rlx_seconds_up(
                                   decision->limit->window_usec));
        state = put_name(state, i == 0, name, len);
        state = put_parameter(state, 'r', decision->verdict.remaining);
        state = put_parameter(state, 't', (apr_uint64_t)rlx_seconds_up(
                                              left > 0 ? left : 0));
    }
    *policy = *state = '\0';
    set_field(r, "RateLimit-Policy", policies);
    set_field(r, "RateLimit", states);
}

/** The time after which the same request would have room by every limit:
 *  those that refused it, and those that it was charged to all the same. */
static rlx_usec_t retry_at(const rlx_request_t *request)
{
    rlx_usec_t latest = request->now_usec;

    if (request->closed_until > latest) {
        latest = request->closed_until;
    }
    for (int i = 0; i < request->n; i++) {
        const rlx_decision_t *decision = &request->decisions[i];
        rlx_usec_t at = decision->verdict.retry_at;

        if (decision->rule->options->dry_run) {
            continue;
        }
        /* It can never have room: a window is as good as any other time. */
        if (at == RLX_NEVER) {
            at = request->now_usec + decision->limit->window_usec;
        }
        if (at > latest) {
            latest = at;
        }
    }
    return latest;
}

/** Retry-After in the form of RateLimitRetryAfter. */
static const char *retry_text(request_rec *r, const rlx_request_t *request,
                              const rlx_manner_t *manner)
{
    apr_int64_t sec = rlx_seconds_up(request->now_usec) + request->wait_sec;
    char *date;

    if (!manner || manner->retry_after != RLX_RETRY_DATE) {
        return rlx_digits(r->pool, (apr_uint64_t)request->wait_sec);
    }
    date = apr_palloc(r->pool, APR_RFC822_DATE_LEN);
    apr_rfc822_date(date, apr_time_from_sec(sec));
    return date;
}

/** The latest time, in seconds since 1970, that a response says to come again;
 *  and the words that say so. */
typedef struct latest_t {
    apr_pool_t *pool;
    /** Of the request. */
    apr_int64_t now_sec;
    apr_int64_t at_sec;
    const char *text;
} latest_t;

/** The end of one value of a list: a date holds a comma, after its day of
 *  the week. */
static const char *value_end(const char *value)
{
    const char *comma = ap_strchr_c(value, ',');

    if (comma && apr_isalpha(*value)) {
        comma = ap_strchr_c(comma + 1, ',');
    }
    return comma ? comma : value + strlen(value);
}

/** When one value says to come again; 0 if it says nothing. */
static apr_int64_t value_at(const latest_t *latest, const char *value)
{
    char *end;
    apr_int64_t sec = apr_strtoi64(value, &end, 10);

    if (apr_isdigit(*value) && (!*end || apr_isspace(*end))) {
        return sec > RLX_COUNT_MAX ? 0 : latest->now_sec + sec;
    }
    return apr_time_sec(apr_date_parse_http(value));
}

/** Who adds to what is there already makes a list of it. */
static void take_later(latest_t *latest, const char *list)
{
    while (*list) {
        const char *end = value_end(list);
        const char *value = apr_pstrmemdup(latest->pool, list,
                                           (apr_size_t)(end - list));
        apr_int64_t at_sec = value_at(latest, value);

        if (at_sec > latest->at_sec) {
            latest->at_sec = at_sec;
            latest->text = value;
        }
        for (list = end; *list == ',' || apr_isspace(*list); list++) {
        }
    }
}

/** Look through a table for values that are not ours.
 *  @return how many there are */
static int take_others(latest_t *latest, const apr_table_t *table,
                       const char *name, const char *ours)
{
    const apr_array_header_t *fields = apr_table_elts(table);
    const apr_table_entry_t *field = (const apr_table_entry_t *)fields->elts;
    int n = 0;

    for (int i = 0; i < fields->nelts; i++, field++) {
        if (field->val != ours && !((field->key[0] ^ name[0]) & ~0x20)
            && !ap_cstr_casecmp(field->key, name)) {
            take_later(latest, field->val);
            n++;
        }
    }
    return n;
}

/** Of all that say when to come again (an error document, Header always)
 *  the latest is kept: earlier there is no room. */
static __attribute__((noinline)) void keep_later(request_rec *r,
                                                 const rlx_request_t *request)
{
    const rlx_manner_t *manner = rlx_manner_of(request->decided_in);
    const char *name = rlx_manner_field(manner, RLX_FIELD_RETRY_AFTER,
                                        "Retry-After");
    latest_t latest;

    latest.pool = r->pool;
    latest.now_sec = rlx_seconds_up(request->now_usec);
    latest.at_sec = latest.now_sec + request->wait_sec;
    latest.text = request->retry_after;
    if (take_others(&latest, r->headers_out, name, request->retry_after)
        + take_others(&latest, r->err_headers_out, name,
                      request->retry_after)) {
        set_field(r, name, latest.text);
    }
}

/** Which parts of a response are sent httpd sees only behind all filters for
 *  content; so where limits wait for the status, this filter moves there.
 *  @return what was next, or NULL if there is nothing to wait for */
static ap_filter_t *wait_for_range(ap_filter_t *f)
{
    request_rec *r = f->r;
    ap_filter_t **place = &r->output_filters;
    ap_filter_t *next = f->next;
    ap_filter_t *range = next;

    while (range && range->frec != ap_byterange_filter_handle) {
        range = range->next;
    }
    while (*place && *place != f) {
        place = &(*place)->next;
    }
    if (r->status != HTTP_OK || !apr_table_get(r->headers_in, "Range")
        || !range || !*place) {
        return NULL;
    }
    *place = next;
    f->next = range->next;
    range->next = f;
    return next;
}

/** Not 0 if what comes is not the response: httpd is told of an error, and
 *  puts another in its place. */
static int has_error(const apr_bucket_brigade *bb)
{
    for (const apr_bucket *e = APR_BRIGADE_FIRST(bb);
         e != APR_BRIGADE_SENTINEL(bb); e = APR_BUCKET_NEXT(e)) {
        if (AP_BUCKET_IS_ERROR(e)) {
            return 1;
        }
    }
    return 0;
}

static apr_status_t headers_filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    request_rec *r = f->r;
    rlx_request_t *request = rlx_request_find(r);

    if (request && request->refused_in) {
        rlx_breach_keep_status(r, request);
    }
    if (request && rlx_settle_is_due(request)) {
        ap_filter_t *next = wait_for_range(f);

        if (next) {
            return ap_pass_brigade(next, bb);
        }
        if (has_error(bb)) {
            ap_remove_output_filter(f);
            return ap_pass_brigade(f->next, bb);
        }
        rlx_settle(r, request);
    }
    if (request && request->refused_in) {
        keep_later(r, request);
    }
    if (request && request->n) {
        if (request->headers & RLX_HEADERS_X) {
            x_ratelimit(r, request);
        }
        if (request->headers & RLX_HEADERS_IETF) {
            ietf(r, request);
        }
    }
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

void rlx_headers_refuse(request_rec *r, rlx_request_t *request)
{
    const rlx_manner_t *manner = rlx_manner_of(r);

    request->wait_sec = rlx_seconds_up(retry_at(request) - request->now_usec);
    if (request->wait_sec < 1) {
        request->wait_sec = 1;
    }
    request->retry_after = retry_text(r, request, manner);
    apr_table_setn(r->err_headers_out,
                   rlx_manner_field(manner, RLX_FIELD_RETRY_AFTER,
                                    "Retry-After"),
                   request->retry_after);
    /* RFC 6585: a 429 must not be stored; nor any other refusal of ours. */
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-store");
}

/** Set once, before there are threads: a look-up by name would cost as much
 *  as a decision. */
static ap_filter_rec_t *filter;

/** Not 0 if the filter waits for the response's head already. */
static int is_inserted(const request_rec *r)
{
    for (const ap_filter_t *f = r->output_filters; f; f = f->next) {
        if (f->frec->filter_func.out_func == headers_filter) {
            return 1;
        }
    }
    return 0;
}

void rlx_headers_insert(request_rec *r)
{
    const rlx_request_t *request = r->main ? NULL : rlx_request_find(r);

    if (request
        && (request->refused_in
            || (request->n && (request->headers
                               || rlx_settle_is_due(request))))
        && !is_inserted(r)) {
        ap_add_output_filter_handle(filter, NULL, r, r->connection);
    }
}

void rlx_headers_register(apr_pool_t *p)
{
    filter = ap_register_output_filter(FILTER_NAME, headers_filter, NULL,
                                       (ap_filter_type)(AP_FTYPE_PROTOCOL
                                                        - 1));
    ap_hook_insert_filter(rlx_headers_insert, NULL, NULL, APR_HOOK_LAST);
    ap_hook_insert_error_filter(rlx_headers_insert, NULL, NULL,
                                APR_HOOK_LAST);
}
