/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  json_out.h
 * @brief Writes JSON that is JSON whatever it is told.
 *
 * What is open is remembered: brackets match, commas stand where they must,
 * and what is still open at the end is closed. Text may hold any bytes.
 */

#ifndef RLX_REPORT_JSON_OUT_H
#define RLX_REPORT_JSON_OUT_H

#include "apr_tables.h"

#include "report/out.h"

/** A text in the making. One thread. */
typedef struct rlx_json_t rlx_json_t;

/** Begin. What is written is one object: the outermost is open.
 *  @param p   for the writer
 *  @param out where it goes, a buffer at a time */
rlx_json_t *rlx_json_begin(apr_pool_t *p, rlx_out_t *out);

/** Close all that is open, end the line, and let go of what is buffered. */
void rlx_json_end(rlx_json_t *json);

/*
 * All of these write a member of what is open. In an object `name` names it
 * and stands for itself; in a list it is of no meaning and may be NULL.
 */

/** Open an object, or a list, until rlx_json_close(). */
void rlx_json_open_object(rlx_json_t *json, const char *name);
void rlx_json_open_list(rlx_json_t *json, const char *name);

/** Close what was opened last. The outermost stays open. */
void rlx_json_close(rlx_json_t *json);

/** A string; NULL: null. */
void rlx_json_text(rlx_json_t *json, const char *name, const char *text);

/** A whole number, in full. */
void rlx_json_number(rlx_json_t *json, const char *name, apr_int64_t number);
void rlx_json_unsigned(rlx_json_t *json, const char *name,
                       apr_uint64_t number);

/** The same of what is not known if it is 0: null. */
void rlx_json_known(rlx_json_t *json, const char *name, apr_uint64_t number);

/** true or false. */
void rlx_json_flag(rlx_json_t *json, const char *name, int value);

void rlx_json_null(rlx_json_t *json, const char *name);

/** An instant, as "2026-11-28T14:13:49Z" (RFC 3339); 0: null.
 *  @param usec since the epoch; what is less than a second is dropped */
void rlx_json_time(rlx_json_t *json, const char *name, apr_int64_t usec);

/** A list of strings, const char *; NULL: an empty list. */
void rlx_json_texts(rlx_json_t *json, const char *name,
                    const apr_array_header_t *texts);

#endif /* RLX_REPORT_JSON_OUT_H */
