/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  needs.h
 * @brief What a configuration needs that most do not: hooks that would cost
 *        every request something are there for it alone.
 */

#ifndef RLX_HTTP_NEEDS_H
#define RLX_HTTP_NEEDS_H

#include "httpd.h"
#include "http_config.h"

/** A limit may have phase=early. */
#define RLX_NEEDS_EARLY  0x1u
/** A limit may have deduct_when=. */
#define RLX_NEEDS_SETTLE 0x2u
/** Limits may stand in .htaccess. */
#define RLX_NEEDS_HTACCESS 0x4u

/**
 * Look through a configuration, before its directives are read.
 * @param tree the first of them, as in ap_conftree; may be NULL
 * @return RLX_NEEDS_ bits; too many rather than too few: where files may add
 *         limits at request time, all of them
 */
unsigned int rlx_needs_of(const ap_directive_t *tree);

#endif /* RLX_HTTP_NEEDS_H */
