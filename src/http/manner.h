/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  manner.h
 * @brief How answers look: keys in logs, bodies of refusals, names of fields;
 *        and what the handler limiter-status may do.
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

/** RateLimitErrorBody. */
typedef enum {
    RLX_BODY_AUTO,
    RLX_BODY_HTML,
    RLX_BODY_JSON,
    RLX_BODY_TEXT,
    /** httpd's own. */
    RLX_BODY_OFF
} rlx_body_e;

/** RateLimitRetryAfter. */
typedef enum {
    RLX_RETRY_SECONDS,
    RLX_RETRY_DATE
} rlx_retry_e;

/** RateLimitHeaderName: which field. */
typedef enum {
    RLX_FIELD_LIMIT,
    RLX_FIELD_REMAINING,
    RLX_FIELD_RESET,
    RLX_FIELD_RETRY_AFTER
} rlx_field_e;

#define RLX_FIELDS 4

/** What the directives of this file set. */
struct rlx_manner_t {
    /** rlx_display_e or RLX_UNSET. */
    int key_display;
    /** rlx_body_e or RLX_UNSET. */
    int body;
    /** rlx_retry_e or RLX_UNSET. */
    int retry_after;
    /** RateLimitStatusControl: 1, 0 or RLX_UNSET. */
    int status_control;
    /** RateLimitOnBreach; NULL: unset. */
    const char *on_breach;
    /** By rlx_field_e; NULL: unset. */
    const char *fields[RLX_FIELDS];
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

/** RateLimitErrorBody. */
static inline rlx_body_e rlx_manner_body(const rlx_manner_t *manner)
{
    return manner && manner->body != RLX_UNSET ? (rlx_body_e)manner->body
                                               : RLX_BODY_AUTO;
}

/** RateLimitHeaderName. */
static inline const char *rlx_manner_field(const rlx_manner_t *manner,
                                           rlx_field_e field,
                                           const char *usual)
{
    return manner && manner->fields[field] ? manner->fields[field] : usual;
}

/** Check a local URL.
 *  @param what put before it in the sentence, "on_breach=" or "" */
const char *rlx_check_url_path(const cmd_parms *cmd, const char *what,
                               const char *path);

/** RateLimitErrorBody. */
const char *rlx_set_error_body(cmd_parms *cmd, void *conf, const char *arg);

/** RateLimitHeaderName. */
const char *rlx_set_header_name(cmd_parms *cmd, void *conf, const char *field,
                                const char *name);

/** RateLimitOnBreach. */
const char *rlx_set_on_breach(cmd_parms *cmd, void *conf, const char *arg);

/** RateLimitRetryAfter. */
const char *rlx_set_retry_after(cmd_parms *cmd, void *conf, const char *arg);

/** RateLimitStatusControl. */
const char *rlx_set_status_control(cmd_parms *cmd, void *conf,
                                   const char *arg);

/** RateLimitKeyDisplay. */
const char *rlx_set_key_display(cmd_parms *cmd, void *conf, const char *arg);

#endif /* RLX_HTTP_MANNER_H */
