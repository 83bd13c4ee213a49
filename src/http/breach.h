/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  breach.h
 * @brief What becomes of a request that has no room.
 */

#ifndef RLX_HTTP_BREACH_H
#define RLX_HTTP_BREACH_H

#include "http/request.h"

/**
 * The request has no room: refuse it, or say so where refusing is off.
 * @param dir      its configuration; may be NULL
 * @param breached the first decision that refuses
 * @return the status of the refusal, or DECLINED
 */
int rlx_breach_refuse(request_rec *r, const rlx_dir_t *dir,
                      rlx_request_t *request,
                      const rlx_decision_t *breached);

/** The request has no room by a limit that does not refuse: say so. */
void rlx_breach_spare(request_rec *r, rlx_request_t *request,
                      const rlx_decision_t *breached);

/** Status of a refusal by a limit.
 *  @param dir may be NULL */
int rlx_breach_status(const rlx_dir_t *dir, const rlx_options_t *options);

/** What makes the body of a refusal may say another status, as scripts and
 *  backends do: see to it that it is the refusal's. Before the response's head
 *  is sent.
 *  @param r       what answers: the refused request or what it was redirected
 *                 to
 *  @param request with a refusal */
void rlx_breach_keep_status(request_rec *r, const rlx_request_t *request);

/** Give a response the words of its status. */
void rlx_breach_word_status(request_rec *r, int status);

#endif /* RLX_HTTP_BREACH_H */
