/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  declared.h
 * @brief Every limit that a server has, in one order: whoever goes through all
 *        of them goes this way.
 */

#ifndef RLX_HTTP_DECLARED_H
#define RLX_HTTP_DECLARED_H

#include "http/config.h"

/** Told of a limit.
 *  @param section the section that holds its directive; NULL: none
 *  @return 0: go on */
typedef int (*rlx_declared_fn)(void *baton, rlx_rule_t *rule,
                               const rlx_section_t *section);

/**
 * Go through the limits of a server: those of the application, the defaults,
 * meta limits, those of the fallback, then its sections in file order. Those
 * of one directive are followed by what its meta= says, once. Where a virtual
 * host has none of a kind, it has those of the main server: rlx_rule_t.owner
 * tells. Limits of .htaccess files are not among them.
 * @return what `told` returned, if that was not 0; else 0
 */
int rlx_declared_each(const rlx_server_t *sv, rlx_declared_fn told,
                      void *baton);

#endif /* RLX_HTTP_DECLARED_H */
