/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What the parts of the page are made of: words, numbers, times, bars, links.
 */

#include "report/html_parts.h"

#include "apr_strings.h"
#include "apr_time.h"

#define MINUTE 60
#define HOUR   3600
#define DAY    86400

void rlx_page_put(rlx_page_t *page, const char *markup)
{
    rlx_out_put(page->out, markup);
}

void rlx_page_print(rlx_page_t *page, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    rlx_out_put(page->out, apr_pvsprintf(page->p, format, args));
    va_end(args);
}

void rlx_page_text(rlx_page_t *page, const char *text)
{
    if (text) {
        rlx_out_html(page->out, text);
    }
}

void rlx_page_element(rlx_page_t *page, const char *tag, const char *name,
                      const char *text)
{
    if (name) {
        rlx_page_print(page, "<%s class=\"%s\">", tag, name);
    }
    else {
        rlx_page_print(page, "<%s>", tag);
    }
    rlx_page_text(page, text);
    rlx_page_print(page, "</%s>", tag);
}

void rlx_page_section(rlx_page_t *page, const char *type, const char *path)
{
    rlx_page_element(page, "span", "type", type);
    rlx_page_put(page, " ");
    rlx_page_element(page, "code", "path", path);
}

void rlx_page_number(rlx_page_t *page, apr_uint64_t n)
{
    const char *digits = apr_psprintf(page->p, "%" APR_UINT64_T_FMT, n);
    apr_size_t len = strlen(digits);
    char text[32], *to = text;

    for (apr_size_t i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0) {
            *to++ = ',';
        }
        *to++ = digits[i];
    }
    *to = '\0';
    rlx_page_put(page, text);
}

void rlx_page_percent(rlx_page_t *page, apr_uint64_t part, apr_uint64_t whole)
{
    double percent = whole ? 100.0 * (double)part / (double)whole : 0;

    /* The blank does not break. What is not nothing and not all never looks
     * as if it were. */
    if (!part || !whole) {
        rlx_page_put(page, "0&#160;%");
    }
    else if (percent < 0.1) {
        rlx_page_put(page, "&lt;&#160;0.1&#160;%");
    }
    else if (part < whole && percent > 99.9) {
        rlx_page_put(page, "&gt;&#160;99.9&#160;%");
    }
    else {
        rlx_page_print(page, percent >= 100 ? "%.0f&#160;%%" : "%.1f&#160;%%",
                       percent);
    }
}

void rlx_page_bytes(rlx_page_t *page, apr_uint64_t n)
{
    static const char *const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB" };
    double value = (double)n;
    int unit = 0;

    while (value >= 1024 && unit < 4) {
        value /= 1024;
        unit++;
    }
    rlx_page_print(page, unit && value < 10 && value != (int)value
                   ? "%.1f&#160;%s" : "%.0f&#160;%s", value, units[unit]);
}

void rlx_page_duration(rlx_page_t *page, apr_int64_t sec)
{
    int days = (int)(sec / DAY), hours = (int)(sec % DAY / HOUR);
    int minutes = (int)(sec % HOUR / MINUTE), seconds = (int)(sec % MINUTE);

    if (days) {
        rlx_page_print(page, hours ? "%d&#160;d %d&#160;h" : "%d&#160;d", days,
                       hours);
    }
    else if (hours) {
        rlx_page_print(page, minutes ? "%d&#160;h %d&#160;min" : "%d&#160;h",
                       hours, minutes);
    }
    else if (minutes) {
        rlx_page_print(page, seconds ? "%d&#160;min %d&#160;s"
                                     : "%d&#160;min", minutes, seconds);
    }
    else {
        rlx_page_print(page, "%d&#160;s", seconds);
    }
}

void rlx_page_time(rlx_page_t *page, rlx_usec_t at)
{
    static const char *const months[] = {
        "January", "February", "March", "April", "May", "June", "July",
        "August", "September", "October", "November", "December"
    };
    apr_time_exp_t t;

    apr_time_exp_gmt(&t, at);
    rlx_page_print(page, "<time datetime=\"%04d-%02d-%02dT%02d:%02d:%02dZ\">"
                   "%d&#160;%s %d, %02d:%02d:%02d&#160;UTC</time>",
                   t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour,
                   t.tm_min, t.tm_sec, t.tm_mday, months[t.tm_mon],
                   t.tm_year + 1900, t.tm_hour, t.tm_min, t.tm_sec);
}

void rlx_page_meter(rlx_page_t *page, const char *name, apr_uint64_t value,
                    apr_uint64_t max, const char *label)
{
    /* Attributes are numbers of HTML: a million steps are enough for a bar,
     * whatever is counted. */
    double full = max ? (double)value / (double)max : 0;

    rlx_page_print(page, "<meter class=\"%s\" value=\"%.6f\" title=\"", name,
                   full > 1 ? 1 : full);
    rlx_page_text(page, label);
    rlx_page_put(page, "\" aria-label=\"");
    rlx_page_text(page, label);
    rlx_page_put(page, "\"></meter>");
}

/* --- links and forms ---------------------------------------------------- */

const char *rlx_page_asked(const rlx_page_t *page, const char *name)
{
    const char *value = page->args ? apr_table_get(page->args, name) : NULL;

    return value && value[0] ? value : NULL;
}

/** What every link keeps, and what it may be that was asked. */
static const char *const kept[] = { "format", "refresh", NULL };
static const char *const known[] = { "format", "refresh", "path", "method",
                                     "server", "key", "tree", NULL };

/** name=value of a link, behind ? or &. */
static void add_to_link(rlx_page_t *page, int *n, const char *name,
                        const char *value)
{
    rlx_page_put(page, (*n)++ ? "&amp;" : "?");
    rlx_page_put(page, name);
    rlx_page_put(page, "=");
    rlx_page_put(page, ap_escape_urlencoded(page->p, value));
}

static int keep(rlx_page_t *page, const char *const *names,
                const char *but)
{
    int n = 0;

    for (; *names; names++) {
        const char *value = rlx_page_asked(page, *names);

        if (value && (!but || strcmp(*names, but))) {
            add_to_link(page, &n, *names, value);
        }
    }
    return n;
}

void rlx_page_link(rlx_page_t *page, const char *name, const char *value)
{
    int n = keep(page, kept, NULL);

    if (name) {
        add_to_link(page, &n, name, value);
    }
    else if (!n) {
        rlx_page_put(page, "?");
    }
}

void rlx_page_link_with(rlx_page_t *page, const char *name, const char *value)
{
    int n = keep(page, known, name);

    if (value) {
        add_to_link(page, &n, name, value);
    }
    else if (!n) {
        rlx_page_put(page, "?");
    }
}

void rlx_page_hidden(rlx_page_t *page, const char *name, const char *value)
{
    rlx_page_print(page, "<input type=\"hidden\" name=\"%s\" value=\"", name);
    rlx_page_text(page, value);
    rlx_page_put(page, "\"/>");
}

void rlx_page_kept_fields(rlx_page_t *page)
{
    for (const char *const *name = kept; *name; name++) {
        const char *value = rlx_page_asked(page, *name);

        if (value) {
            rlx_page_hidden(page, *name, value);
        }
    }
}
