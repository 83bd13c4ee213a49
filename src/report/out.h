/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  out.h
 * @brief Where a renderer writes to, and how other people's words get there.
 */

#ifndef RLX_REPORT_OUT_H
#define RLX_REPORT_OUT_H

#include "httpd.h"

/** Somewhere to write: a response, or a file. One thread. */
typedef struct rlx_out_t {
    /** The response; NULL: `file`. */
    request_rec *r;
    FILE *file;
    /** For what is put together on the way; may be cleared at any call. */
    apr_pool_t *scratch;
} rlx_out_t;

/** Write text as it is. Who reads may be gone: nobody is told. */
void rlx_out_put(rlx_out_t *out, const char *text);

/** Write formatted text as it is. */
void rlx_out_print(rlx_out_t *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Write a JSON string, with its quotes; NULL is written as null. */
void rlx_out_json(rlx_out_t *out, const char *text);

/** Write text for a terminal: no control characters, one line. */
void rlx_out_text(rlx_out_t *out, const char *text);

/** Write text for a page: fit for an element and for an attribute in double
 *  quotes. */
void rlx_out_html(rlx_out_t *out, const char *text);

/** Write a wall-clock time for people, "2026-11-28 14:53:58 UTC". */
void rlx_out_time(rlx_out_t *out, apr_time_t at);

#endif /* RLX_REPORT_OUT_H */
