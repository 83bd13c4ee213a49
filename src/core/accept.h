/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  accept.h
 * @brief Which of a few media types a client wants most. Pure, any thread.
 */

#ifndef RLX_CORE_ACCEPT_H
#define RLX_CORE_ACCEPT_H

/** The most types that are offered at once; any more are not looked at. */
#define RLX_ACCEPT_TYPES_MAX 8

/**
 * Choose a media type by an Accept field (RFC 9110, section 12.5.1). Takes
 * time in proportion to the field's length, whatever it holds.
 * @param accept the field; NULL or blank: the client takes anything
 * @param types  media types in lower case, the server's favourite first,
 *               ended by NULL
 * @return index of the best, the earlier one among equals; -1 if the client
 *         wants none of them
 */
int rlx_accept_choose(const char *accept, const char *const *types);

/**
 * As rlx_accept_choose, but among equals the client decides: by what it names
 * itself rather than by a wildcard, and by what it names first. Programs that
 * put a type before others and before "anything" mean it.
 * @param accept as there
 * @param types  as there
 * @return as there
 */
int rlx_accept_choose_named(const char *accept, const char *const *types);

#endif /* RLX_CORE_ACCEPT_H */
