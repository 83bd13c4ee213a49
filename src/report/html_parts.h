/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  html_parts.h
 * @brief What the parts of the page are made of, and the parts.
 *
 * The page is HTML that is well-formed XML as well. Whatever a client sent or
 * a configuration holds goes through rlx_page_text() or into a link by
 * rlx_page_link(). Nothing here is safe for more than one thread per page.
 */

#ifndef RLX_REPORT_HTML_PARTS_H
#define RLX_REPORT_HTML_PARTS_H

#include "http/figures.h"
#include "report/out.h"
#include "report/snapshot.h"

/** A page while it is written. */
typedef struct rlx_page_t {
    rlx_out_t *out;
    const rlx_snapshot_t *snapshot;
    /** For what is put together on the way to a section of the tree or to a
     *  row: cleared after each. */
    apr_pool_t *p;
    /** What was asked for; NULL: nothing. */
    const apr_table_t *args;
    /** Sections that may still be written in full. */
    int room;
} rlx_page_t;

/* --- parts of sentences ------------------------------------------------- */

/** Write markup as it is. */
void rlx_page_put(rlx_page_t *page, const char *markup);

/** Write formatted markup as it is. */
void rlx_page_print(rlx_page_t *page, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** Write other people's words. NULL: nothing. */
void rlx_page_text(rlx_page_t *page, const char *text);

/** Write `<tag class="name">text</tag>`, with the text escaped.
 *  @param name NULL: no class */
void rlx_page_element(rlx_page_t *page, const char *tag, const char *name,
                      const char *text);

/** The type and path of a section. */
void rlx_page_section(rlx_page_t *page, const char *type, const char *path);

/** A number with commas between thousands. */
void rlx_page_number(rlx_page_t *page, apr_uint64_t n);

/** A part of a whole as "12.3 %"; "0 %" of nothing. */
void rlx_page_percent(rlx_page_t *page, apr_uint64_t part, apr_uint64_t whole);

/** Bytes as "32 MiB". */
void rlx_page_bytes(rlx_page_t *page, apr_uint64_t n);

/** Seconds as "2 h 4 min", in the two largest units. */
void rlx_page_duration(rlx_page_t *page, apr_int64_t sec);

/** A time of day in UTC, as <time>. */
void rlx_page_time(rlx_page_t *page, rlx_usec_t at);

/** A bar that is so full.
 *  @param name  its class: "use" or "refusals"
 *  @param label what a screen reader says; escaped here */
void rlx_page_meter(rlx_page_t *page, const char *name, apr_uint64_t value,
                    apr_uint64_t max, const char *label);

/* --- links and forms ---------------------------------------------------- */

/** What was asked for by that name; NULL: nothing, or "". */
const char *rlx_page_asked(const rlx_page_t *page, const char *name);

/** Write the value of a href: this page with a question, keeping refresh= and
 *  format=.
 *  @param name  NULL: without a question
 *  @param value as it is; may be any bytes */
void rlx_page_link(rlx_page_t *page, const char *name, const char *value);

/** The same with one thing changed and all else that was asked kept.
 *  @param value NULL: without it */
void rlx_page_link_with(rlx_page_t *page, const char *name,
                        const char *value);

/** Write hidden fields for what rlx_page_link() keeps. */
void rlx_page_kept_fields(rlx_page_t *page);

/** Write the hidden field of a form. */
void rlx_page_hidden(rlx_page_t *page, const char *name, const char *value);

/* --- limits ------------------------------------------------------------- */

/** A limit's text, strategy, name, options and methods, without where it
 *  stands. */
void rlx_page_limit(rlx_page_t *page, const rlx_limit_view_t *view);

/** "file:line". */
void rlx_page_where(rlx_page_t *page, const char *declared_at);

/** Write where a limit stands: server, section, file and line. */
void rlx_page_place(rlx_page_t *page, const rlx_listed_t *listed);

/* --- parts of the page -------------------------------------------------- */

/** The answers to ?path= and ?key=, where they were asked. */
void rlx_page_answers(rlx_page_t *page);
/** The forms that ask for them. */
void rlx_page_questions(rlx_page_t *page);
void rlx_page_warnings(rlx_page_t *page);
/** What became of requests. */
void rlx_page_traffic(rlx_page_t *page);
/** Limits that have refused, and those that are tried. */
void rlx_page_refusing(rlx_page_t *page);
void rlx_page_trials(rlx_page_t *page);
void rlx_page_refused_keys(rlx_page_t *page);
void rlx_page_storages(rlx_page_t *page);

/** Not 0 if a storage that servers count in does not answer. */
int rlx_page_is_down(const rlx_storage_view_t *view);
/** Sections, by server, and what holds in each. */
void rlx_page_tree(rlx_page_t *page);
/** The .htaccess files of a server that were seen so far.
 *  @param no its number among the servers */
void rlx_page_htaccess(rlx_page_t *page, const char *server, int no);
void rlx_page_settings(rlx_page_t *page);
/** The button that clears everything, where that is allowed. */
void rlx_page_clear_all(rlx_page_t *page);
/** A button that clears a key.
 *  @param limit name or text of a limit; NULL: its counters of all limits
 *  @param label on the button; markup */
void rlx_page_clear_key(rlx_page_t *page, const char *key, const char *limit,
                        const char *label);

/** The style sheet and the script: text without the elements. */
extern const char rlx_page_style[];
extern const char rlx_page_script[];

#endif /* RLX_REPORT_HTML_PARTS_H */
