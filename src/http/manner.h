/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  manner.h
 * @brief How answers look: keys in logs, bodies of refusals, names of fields.
 */

#ifndef RLX_HTTP_MANNER_H
#define RLX_HTTP_MANNER_H

#include "http/config.h"

/** RateLimitKeyDisplay. */
typedef enum {
    /** Addresses and user names as they are, all else hashed. */
    RLX_DISPLAY_AUTO,
    RLX_DISPLAY_PLAIN,
    RLX_DISPLAY_HASH
} rlx_display_e;

/** What the directives of this file set. */
struct rlx_manner_t {
    /** rlx_display_e or RLX_UNSET. */
    int key_display;
};

/** What is set in a section within another. Either may be NULL; nothing is
 *  written to. */
rlx_manner_t *rlx_manner_merge(apr_pool_t *p, rlx_manner_t *outer,
                               rlx_manner_t *inner);

/** What is in force for a request; NULL: nothing is set. */
static inline const rlx_manner_t *rlx_manner_of(const request_rec *r)
{
    const rlx_dir_t *dir = rlx_dir_of(r->per_dir_config);

    return dir ? dir->manner : NULL;
}

/** RateLimitKeyDisplay. */
const char *rlx_set_key_display(cmd_parms *cmd, void *conf, const char *arg);

#endif /* RLX_HTTP_MANNER_H */
