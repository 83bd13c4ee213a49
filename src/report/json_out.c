/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Writes JSON. Objects and lists in a list begin on a line of their own, so
 * that what is long can be read and searched by lines.
 */

#include "report/json_out.h"

#include <string.h>

#include "apr_strings.h"
#include "apr_time.h"

#include "core/text.h"

/** What is written at once: a call into httpd for each bracket would be most
 *  of the work. */
#define BUFFER 8192

/** What is open. */
typedef struct level_t {
    /** What closes it. */
    char bracket;
    int is_empty;
} level_t;

struct rlx_json_t {
    rlx_out_t *out;
    /** level_t; the outermost is always there. */
    apr_array_header_t *levels;
    apr_size_t len;
    /** With room for a NUL. */
    char buffer[BUFFER + 1];
};

static void flush(rlx_json_t *json)
{
    json->buffer[json->len] = '\0';
    rlx_out_put(json->out, json->buffer);
    json->len = 0;
}

/** See to it that so many bytes fit, up to BUFFER. */
static char *room_for(rlx_json_t *json, apr_size_t len)
{
    if (json->len + len > BUFFER) {
        flush(json);
    }
    return json->buffer + json->len;
}

/** Write a few bytes. */
static void put(rlx_json_t *json, const char *bytes, apr_size_t len)
{
    memcpy(room_for(json, len), bytes, len);
    json->len += len;
}

static void put_char(rlx_json_t *json, char c)
{
    put(json, &c, 1);
}

static void put_string(rlx_json_t *json, const char *text)
{
    apr_size_t most = RLX_TEXT_JSON_ROOM(strlen(text));

    if (most > BUFFER) {
        flush(json);
        rlx_out_json(json->out, text);
    }
    else {
        char *at = room_for(json, most);

        json->len += (apr_size_t)(rlx_text_json(at, text) - at);
    }
}

static level_t *level_of(const rlx_json_t *json)
{
    return &APR_ARRAY_IDX(json->levels, json->levels->nelts - 1, level_t);
}

/** Begin a member of what is open.
 *  @param is_long not 0: it is on a line of its own in a list */
static void begin(rlx_json_t *json, const char *name, int is_long)
{
    level_t *level = level_of(json);

    if (!level->is_empty) {
        put_char(json, ',');
    }
    level->is_empty = 0;
    if (level->bracket == '}') {
        put_string(json, name ? name : "");
        put_char(json, ':');
    }
    else if (is_long) {
        put_char(json, '\n');
    }
}

static void open_level(rlx_json_t *json, const char *brackets)
{
    level_t *level;

    put_char(json, brackets[0]);
    level = apr_array_push(json->levels);
    level->bracket = brackets[1];
    level->is_empty = 1;
}

rlx_json_t *rlx_json_begin(apr_pool_t *p, rlx_out_t *out)
{
    rlx_json_t *json = apr_palloc(p, sizeof(*json));

    json->out = out;
    json->len = 0;
    json->levels = apr_array_make(p, 16, sizeof(level_t));
    open_level(json, "{}");
    return json;
}

void rlx_json_open_object(rlx_json_t *json, const char *name)
{
    begin(json, name, 1);
    open_level(json, "{}");
}

void rlx_json_open_list(rlx_json_t *json, const char *name)
{
    begin(json, name, 1);
    open_level(json, "[]");
}

void rlx_json_close(rlx_json_t *json)
{
    if (json->levels->nelts > 1) {
        put_char(json, level_of(json)->bracket);
        json->levels->nelts--;
    }
}

void rlx_json_end(rlx_json_t *json)
{
    while (json->levels->nelts > 1) {
        rlx_json_close(json);
    }
    put(json, "}\n", 2);
    flush(json);
}

void rlx_json_text(rlx_json_t *json, const char *name, const char *text)
{
    if (text) {
        begin(json, name, 0);
        put_string(json, text);
    }
    else {
        rlx_json_null(json, name);
    }
}

void rlx_json_unsigned(rlx_json_t *json, const char *name,
                       apr_uint64_t number)
{
    begin(json, name, 0);
    json->len += (apr_size_t)apr_snprintf(room_for(json, 32), 32,
                                          "%" APR_UINT64_T_FMT, number);
}

void rlx_json_known(rlx_json_t *json, const char *name, apr_uint64_t number)
{
    if (number) {
        rlx_json_unsigned(json, name, number);
    }
    else {
        rlx_json_null(json, name);
    }
}

void rlx_json_number(rlx_json_t *json, const char *name, apr_int64_t number)
{
    begin(json, name, 0);
    json->len += (apr_size_t)apr_snprintf(room_for(json, 32), 32,
                                          "%" APR_INT64_T_FMT, number);
}

void rlx_json_flag(rlx_json_t *json, const char *name, int value)
{
    begin(json, name, 0);
    put(json, value ? "true" : "false", value ? 4 : 5);
}

void rlx_json_null(rlx_json_t *json, const char *name)
{
    begin(json, name, 0);
    put(json, "null", 4);
}

void rlx_json_time(rlx_json_t *json, const char *name, apr_int64_t usec)
{
    apr_time_exp_t at;
    char text[40];

    if (!usec || apr_time_exp_gmt(&at, usec) != APR_SUCCESS) {
        rlx_json_null(json, name);
        return;
    }
    apr_snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02dZ",
                 at.tm_year + 1900, at.tm_mon + 1, at.tm_mday, at.tm_hour,
                 at.tm_min, at.tm_sec);
    rlx_json_text(json, name, text);
}

void rlx_json_texts(rlx_json_t *json, const char *name,
                    const apr_array_header_t *texts)
{
    rlx_json_open_list(json, name);
    for (int i = 0; texts && i < texts->nelts; i++) {
        rlx_json_text(json, NULL, APR_ARRAY_IDX(texts, i, const char *));
    }
    rlx_json_close(json);
}
