/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  meta.h
 * @brief Meta limits: how often one key may be refused by other limits before
 *        everything is refused.
 */

#ifndef RLX_HTTP_META_H
#define RLX_HTTP_META_H

#include "http/request.h"

/**
 * Look whether the meta limits of a server, and those of single limits, have
 * room for one more breach. Charges nothing. Decisions of those that have none
 * are put in the record; what is found is remembered there for
 * rlx_meta_charge().
 * @param dir      the request's configuration; may be NULL
 * @param limits   that hold for the request; the record keeps room for their
 *                 decisions
 * @param breached the first that refuses, or NULL if the request may go on
 * @return 0 if the storage cannot answer: then the record is as it was
 */
int rlx_meta_test(request_rec *r, const rlx_dir_t *dir,
                  rlx_request_t *request, const rlx_plan_t *limits,
                  const rlx_decision_t **breached);

/**
 * Charge a refusal by another limit to the meta limits that were looked at,
 * and put off the time when the client may come again where that took their
 * last room. Of the meta limits of single limits, those of the limit that
 * refuses are charged. A storage that cannot answer any longer leaves the
 * refusal uncharged.
 * @param mode RLX_CHARGE_ALL: those of every limit without room
 */
void rlx_meta_charge(request_rec *r, rlx_request_t *request,
                     rlx_charge_e mode);

#endif /* RLX_HTTP_META_H */
