/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  settle.h
 * @brief Limits with deduct_when=: what they are charged is known once the
 *        response is.
 */

#ifndef RLX_HTTP_SETTLE_H
#define RLX_HTTP_SETTLE_H

#include "http/request.h"

/** Not 0 if the response is yet to say what some limit is charged. */
static inline int rlx_settle_is_due(const rlx_request_t *request)
{
    return request->has_pending;
}

/**
 * The response is known: charge the limits whose condition holds, give back
 * what was reserved for the others, and bring decisions and variables up to
 * date. Does it once, whoever asks.
 * @param r the request whose response it is: the last of the redirects
 */
void rlx_settle(request_rec *r, rlx_request_t *request);

/**
 * The request is refused: limits that a refused request is not charged to are
 * not charged, whatever the response says.
 * @param from the first decision that is dropped; 0: all of them
 */
void rlx_settle_drop(rlx_request_t *request, int from);

/** Settle what is settled by the response's head in time, but for responses
 *  that have none of httpd's (nph- scripts, tunnels): a hook for
 *  log_transaction. */
int rlx_settle_at_end(request_rec *r);

#endif /* RLX_HTTP_SETTLE_H */
