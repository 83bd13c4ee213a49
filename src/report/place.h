/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  place.h
 * @brief For path.c: what holds for a request at one of the places that it
 *        comes to.
 */

#ifndef RLX_REPORT_PLACE_H
#define RLX_REPORT_PLACE_H

#include "report/path.h"
#include "report/why.h"

/** A question while it is answered. */
typedef struct rlx_asking_t {
    request_rec *r;
    apr_pool_t *p;
    rlx_path_view_t *view;
    /** As in rlx_why_t; and the method that the path is looked up by. */
    int method;
    const char *visit_method;
    /** As in rlx_visit_t. */
    const char *host;
    /** rlx_path_limit_t that hold: meta limits, those of phase=early, the
     *  others; and those that do not hold. */
    apr_array_header_t *meta;
    apr_array_header_t *early;
    apr_array_header_t *late;
    apr_array_header_t *not;
    /** The place being looked at, for rlx_path_limit_t.at. */
    const char *at;
    const rlx_why_t *why;
    /** Why nothing is looked at there; why nothing without phase=early is.
     *  NULL: it is. */
    const char *blocked;
    const char *blocked_late;
    /** What a request filter says stands for all places to come. */
    const char *filtered;
    /** The configuration that was looked at last. */
    const ap_conf_vector_t *decided_for;
    /** Not 0: the path itself has been looked at. */
    int is_begun;
} rlx_asking_t;

/** Note a sentence in the answer, once. */
void rlx_note(rlx_asking_t *asking, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/**
 * Explain what holds for a request as it is: resolve it as it would be
 * resolved, and put sections, limits and notes in the answer.
 * @param r where a client's request would be decided, or as far as it comes
 */
void rlx_place_explain(rlx_asking_t *asking, request_rec *r);

/** List the limits of all places in the answer: those that hold, then those
 *  that hold nowhere. */
void rlx_asking_list(rlx_asking_t *asking);

#endif /* RLX_REPORT_PLACE_H */
