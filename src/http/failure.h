/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  failure.h
 * @brief What a request gets that the storage could not decide:
 *        RateLimitStorageFailure and RateLimitFallback.
 */

#ifndef RLX_HTTP_FAILURE_H
#define RLX_HTTP_FAILURE_H

#include "http/request.h"

/** Log that a storage stopped answering, or goes on. An rlx_store_change_fn
 *  whose baton is the main server. */
void rlx_failure_log_change(void *baton, const rlx_store_change_t *change);

/**
 * Have a request decided in this server's own shared memory, if that is what
 * it gets. The record is then as if nothing had been asked, and says where to
 * ask now.
 * @param plan what the storage did not decide; afterwards, what is decided
 *             in its place (RLX_EXEMPT_META in it: no meta limits)
 * @return 0 if it is not decided anywhere: see rlx_failure_answer()
 */
int rlx_failure_falls_back(request_rec *r, rlx_request_t *request,
                           rlx_plan_t *plan);

/**
 * Let a request pass that is not decided anywhere, or turn it away.
 * @param dir  its configuration; may be NULL
 * @param plan what the storage did not decide
 * @return DECLINED, or 503
 */
int rlx_failure_answer(request_rec *r, const rlx_dir_t *dir,
                       rlx_request_t *request, const rlx_plan_t *plan);

/**
 * Turn a request away that is not decided anywhere.
 * @return 503
 */
int rlx_failure_deny(request_rec *r, rlx_request_t *request);

#endif /* RLX_HTTP_FAILURE_H */
