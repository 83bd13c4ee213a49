/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  engine.h
 * @brief Decides requests: the hooks that look at limits.
 */

#ifndef RLX_HTTP_ENGINE_H
#define RLX_HTTP_ENGINE_H

#include "httpd.h"

/**
 * The header_parser hook, before access control and authentication: decide
 * the limits with phase=early.
 * @return DECLINED, or the status of the refusal
 */
int rlx_engine_early(request_rec *r);

/**
 * The fixups hook: decide a request, or what an internal redirect added to
 * it.
 * @return DECLINED, or the status of the refusal
 */
int rlx_engine_fixups(request_rec *r);

/**
 * The handler hook, before all others: decide what came into play since the
 * fixups, without an internal redirect (DirectoryIndex, MultiViews).
 * @return DECLINED, or the status of the refusal
 */
int rlx_engine_handler(request_rec *r);

#endif /* RLX_HTTP_ENGINE_H */
