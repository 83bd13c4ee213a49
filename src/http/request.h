/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  request.h
 * @brief What has been decided about one client request, over all its
 *        internal redirects.
 */

#ifndef RLX_HTTP_REQUEST_H
#define RLX_HTTP_REQUEST_H

#include "httpd.h"
#include "http_config.h"

#include "http/resolve.h"

/** What became of a request, or of one as a single limit sees it: a column of
 *  the tally. */
typedef enum {
    /** There was room. */
    RLX_FATE_ALLOWED,
    RLX_FATE_REFUSED,
    RLX_FATE_EXEMPT,
    /** There was none, and it passed. */
    RLX_FATE_DRY_RUN,
    /** The storage could not answer. */
    RLX_FATE_ERROR
} rlx_fate_e;

/** How many there are. */
#define RLX_FATES (RLX_FATE_ERROR + 1)

/** In place of one: it is known elsewhere as what a limit has counted the
 *  request. */
#define RLX_FATE_ELSEWHERE (-1)

/** One limit that was looked at for a request. */
typedef struct rlx_decision_t {
    const rlx_rule_t *rule;
    /** The limit under the strategy that was in force. */
    const rlx_limit_t *limit;
    /** The section whose endpoint the counter bears; NULL: the server. */
    const rlx_section_t *endpoint;
    /** Who was counted. */
    const char *key;
    rlx_id_t id;
    int key_is_public;
    /** Not 0: the limit has deduct_when= and the response is not known; what
     *  the verdict says of charging is not the last word. */
    int is_pending;
    /** What the storage was asked to take. */
    apr_uint32_t cost;
    /** rlx_fate_e: as what the limit has counted the request; or
     *  RLX_FATE_ELSEWHERE. */
    int fate;
    /** rlx_counter_t's text, for a storage that wants it. */
    const char *scope;
    size_t scope_len;
    /** Of no meaning unless pending: the deduct_when= of other limits with the
     *  same counter. Any that holds has it charged. */
    const rlx_filter_t *also;
    /** The storage that decided it. */
    const rlx_store_t *store;
    /** Last: all before it may be known beforehand, see usual.h. */
    rlx_verdict_t verdict;
} rlx_decision_t;

/** How a request fared. */
typedef enum {
    /** Nothing was looked at, or everything had room. */
    RLX_RESULT_ALLOWED,
    /** Some limit had no room. */
    RLX_RESULT_REFUSED,
    /** Some limit had no room, but refusing is switched off. */
    RLX_RESULT_DRY_RUN,
    /** Something exempted the request, and nothing was looked at. Never in
     *  the record: rlx_request_result() says so. */
    RLX_RESULT_EXEMPT,
    /** The storage could not answer, and what was counted in this server's
     *  shared memory had room. */
    RLX_RESULT_FALLBACK,
    /** The storage could not answer, and nothing was counted. */
    RLX_RESULT_ERROR
} rlx_result_e;

#define RLX_FILTERED_LOOKUP 2

/** The meta limits of a request; see meta.h. */
typedef struct rlx_meta_t rlx_meta_t;

/** The record of a client request. Lives in the request's pool; one thread. */
typedef struct rlx_request_t {
    /** As the client asked: httpd asks for error documents by GET. */
    const char *method;
    int method_number;
    /** RLX_HEADERS_ bits. */
    int headers;
    /** The configuration that was last decided on: when the request's
     *  differs, sections have come into play since. */
    const ap_conf_vector_t *decided_for;
    /** The storage that decides now: the server's, or what stands in for it
     *  while it cannot answer. Set by the engine before it asks. */
    const rlx_store_t *store;
    /** The same of the limits with phase=early. */
    const ap_conf_vector_t *early_for;
    /** What was decided, in that order: n of them, and room for more. */
    rlx_decision_t *decisions;
    int n;
    int room;
    rlx_result_e result;
    /** Not 0: a decision may be pending. */
    unsigned char has_pending;
    /** Not 0: RateLimitRequestFilter said that no limit is looked at; it
     *  holds for all redirects to come. RLX_FILTERED_LOOKUP: this is no
     *  client's request, see lookup.h. */
    unsigned char is_filtered;
    /** Not 0: some exemption held, or would have if there were limits. */
    unsigned char is_exempt;
    /** Not 0: a storage could not answer. */
    unsigned char has_failed;
    /** Not 0: has_failed, or `noted` is not NULL. */
    unsigned char is_unusual;
    /** Not 0: httpd was told to make no page of its own for the refusal. */
    unsigned char has_no_page;
    /** As what the request has been counted: 1 + rlx_fate_e; 0: not yet. */
    unsigned char counted;
    /** Status of the refusal. */
    int status;
    /** What limits have counted without a decision; see fate.h. */
    struct rlx_noted_t *noted;
    /** The request whose hook refused; NULL: not refused. */
    const request_rec *refused_in;
    /** The request that was last decided: what is said of a decision is
     *  worked out for that one. */
    request_rec *decided_in;
    /** The request whose environment says how it fared, as it is now. */
    request_rec *shown_in;
    /** The first decision without room; of no meaning when all had. */
    const rlx_decision_t *breached;
    /** When it was decided, wall clock. */
    rlx_usec_t now_usec;
    /** The meta limits that were looked at last; NULL: none. */
    rlx_meta_t *meta;
    /** The request is refused until then by what is in no decision: meta
     *  limits, limits that are looked at later, or a storage that cannot
     *  answer; 0: it is not. */
    rlx_usec_t closed_until;
    /** Seconds after which a refused request has room, at least 1. */
    apr_int64_t wait_sec;
    /** The same in a field; NULL: not refused. */
    const char *retry_after;
} rlx_request_t;

/** For rlx_request_find(): look at what r was redirected from. */
rlx_request_t *rlx_request_find_before(const request_rec *r);

/** The record of a client request, found from any of its internal redirects.
 *  NULL if none has been made. Inline: every hook asks. */
static inline rlx_request_t *rlx_request_find(const request_rec *r)
{
    rlx_request_t *request = ap_get_module_config(r->request_config,
                                                  &ratelimit_ext_module);

    return request || !r->prev ? request : rlx_request_find_before(r);
}

/**
 * Make a record, attached to r; there is none. Record and decisions are one
 * piece of memory, and this is inline: it is done for every request that a
 * limit holds for.
 * @param method rlx_method_of(r)
 * @param room   decisions that it has room for
 */
static inline rlx_request_t *rlx_request_make(request_rec *r, int method,
                                              int room)
{
    enum { half = sizeof(rlx_request_t) / 2 };
    rlx_request_t *request = apr_palloc(r->pool, sizeof(*request)
                                        + sizeof(rlx_decision_t)
                                          * (apr_size_t)room);

    /* A compiler clears a few words at once, and more of them in a loop. */
    memset(request, 0, half);
    memset((char *)request + half, 0, sizeof(*request) - half);
    request->method = r->method;
    request->method_number = method;
    request->decisions = (rlx_decision_t *)(request + 1);
    request->room = room;
    ap_set_module_config(r->request_config, &ratelimit_ext_module, request);
    return request;
}

/** The record of a client request, made if there is none, attached to r, and
 *  with room for so many more decisions. */
rlx_request_t *rlx_request_get(request_rec *r, int more);

/** The decision that the X-RateLimit fields and the like speak of: the
 *  breached one, else the unshared one with the shortest window, else the
 *  shared one with the shortest window: as in Flask-Limiter, where a shared
 *  limit speaks only if there is no other. NULL if nothing was decided. */
const rlx_decision_t *rlx_request_spokesman(const rlx_request_t *request);

/** Have the requests that led to r by internal redirects find its record too:
 *  where an error document is refused, httpd answers by the first of them. */
void rlx_request_share(const request_rec *r, rlx_request_t *request);

/** Read the wall clock into the record: the one place where the module does,
 *  once for each time that a request is decided. */
static inline void rlx_request_read_clock(rlx_request_t *request)
{
    request->now_usec = apr_time_now();
}

/** How a request fared in the end. */
static inline rlx_result_e rlx_request_result(const rlx_request_t *request)
{
    return request->result == RLX_RESULT_ALLOWED && !request->n
           && request->is_exempt ? RLX_RESULT_EXEMPT : request->result;
}

/** Not 0 if the counter is one that other endpoints share. */
static inline int rlx_decision_is_shared(const rlx_decision_t *decision)
{
    return decision->rule->kind == RLX_RULE_SHARED
           || rlx_rule_is_umbrella(decision->rule);
}

/** Not 0 if the decision stands in the request's way. */
static inline int rlx_decision_refuses(const rlx_decision_t *decision)
{
    return !decision->verdict.has_room && !decision->rule->options->dry_run;
}

#endif /* RLX_HTTP_REQUEST_H */
