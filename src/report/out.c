/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Where a renderer writes to.
 */

#include "report/out.h"

#include "http_protocol.h"
#include "apr_strings.h"

#include "http/digits.h"


static void put_bytes(rlx_out_t *out, const char *text, apr_size_t len)
{
    if (out->r) {
        ap_rwrite(text, (int)len, out->r);
    }
    else {
        fwrite(text, 1, len, out->file);
    }
}

void rlx_out_put(rlx_out_t *out, const char *text)
{
    put_bytes(out, text, strlen(text));
}

void rlx_out_print(rlx_out_t *out, const char *format, ...)
{
    va_list args;
    const char *text;

    va_start(args, format);
    text = apr_pvsprintf(out->scratch, format, args);
    va_end(args);
    rlx_out_put(out, text);
    apr_pool_clear(out->scratch);
}

void rlx_out_json(rlx_out_t *out, const char *text)
{
    rlx_out_put(out, text ? rlx_json_string(out->scratch, text) : "null");
    apr_pool_clear(out->scratch);
}

void rlx_out_text(rlx_out_t *out, const char *text)
{
    char *clean = apr_pstrdup(out->scratch,
                              rlx_clean_string(out->scratch, text));

    for (char *c = clean; *c; c++) {
        if (*c == '\n' || *c == '\t') {
            *c = ' ';
        }
    }
    rlx_out_put(out, clean);
    apr_pool_clear(out->scratch);
}

/** What stands for a character in HTML; NULL: it stands for itself. */
static const char *entity_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void rlx_out_html(rlx_out_t *out, const char *text)
{
    const char *clean = rlx_clean_string(out->scratch, text);

    while (*clean) {
        apr_size_t plain = strcspn(clean, "&<>\"'");

        put_bytes(out, clean, plain);
        clean += plain;
        if (*clean) {
            rlx_out_put(out, entity_of(*clean++));
        }
    }
    apr_pool_clear(out->scratch);
}

void rlx_out_time(rlx_out_t *out, apr_time_t at)
{
    apr_time_exp_t t;

    apr_time_exp_gmt(&t, at);
    rlx_out_print(out, "%04d-%02d-%02d %02d:%02d:%02d UTC", t.tm_year + 1900,
                  t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
}
