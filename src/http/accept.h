/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  accept.h
 * @brief Which of a few media types a client wants most.
 */

#ifndef RLX_HTTP_ACCEPT_H
#define RLX_HTTP_ACCEPT_H

/**
 * Choose a media type by an Accept field (RFC 9110, section 12.5.1).
 * @param accept the field; NULL: the client takes anything
 * @param types  media types in lower case, the server's favourite first,
 *               ended by NULL
 * @return index of the best, the earlier one among equals; -1 if the client
 *         wants none of them
 */
int rlx_accept_choose(const char *accept, const char *const *types);

#endif /* RLX_HTTP_ACCEPT_H */
