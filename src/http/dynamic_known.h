/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  dynamic_known.h
 * @brief Which strings limits that are an expression gave, in whatever child:
 *        who asks for the counters of a key wants to know.
 *
 * No function takes a lock; any thread of any child may call them.
 */

#ifndef RLX_HTTP_DYNAMIC_KNOWN_H
#define RLX_HTTP_DYNAMIC_KNOWN_H

#include "httpd.h"

/** Make room in memory that all children share, and that survives graceful
 *  restarts. In the parent, before there are children.
 *  @return an error if there is none; then nothing is known */
apr_status_t rlx_dynamic_known_open(server_rec *main_server);

/** Note a string. Of many, those that come first are kept.
 *  @param expression as written */
void rlx_dynamic_known_add(const char *expression, const char *text);

/** The strings of an expression, one after the other.
 *  @param at begin with 0; brought on
 *  @return as long as the child lives; NULL: there are no more */
const char *rlx_dynamic_known_next(const char *expression, int *at);

/** Note that there was a string that is not kept. */
void rlx_dynamic_known_lose(void);

/** Not 0 if every string of every expression is known. */
int rlx_dynamic_known_is_complete(void);

#endif /* RLX_HTTP_DYNAMIC_KNOWN_H */
