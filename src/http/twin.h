/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  twin.h
 * @brief Limits of one request that have one counter.
 */

#ifndef RLX_HTTP_TWIN_H
#define RLX_HTTP_TWIN_H

#include "http/counter.h"

/**
 * The record's next decision, which is not in it yet, is about a counter that
 * the record has a decision on. One that is about to be asked gives way to the
 * next if that takes more; one that was asked before no longer has the last
 * word.
 * @param known    that decision; with another id the next is a limit that was
 *                 looked at early, and is not looked at again
 * @param first    of the decisions that are about to be asked; those before it
 *                 were
 * @param counters of the decisions from first on, the next one's included
 * @param again    1 afterwards if the counter is asked for a second time
 * @return not 0 if the next decision is to be asked too. One thread.
 */
int rlx_twin_is_asked(request_rec *r, rlx_request_t *request,
                      rlx_decision_t *known, int first,
                      rlx_counter_t *counters, int *again)
    __attribute__((noinline));

/** Decisions before the one of place first are told what is left of counters
 *  that those from there on asked for again. */
void rlx_twin_refresh(rlx_request_t *request, int first)
    __attribute__((noinline));

#endif /* RLX_HTTP_TWIN_H */
