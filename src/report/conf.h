/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  conf.h
 * @brief The directives as they were read, and the settings among them.
 */

#ifndef RLX_REPORT_CONF_H
#define RLX_REPORT_CONF_H

#include "http/config.h"

/** Told of a directive.
 *  @param s the server that it stands in */
typedef void (*rlx_conf_fn)(void *baton, const ap_directive_t *d,
                            server_rec *s);

/** Visit every directive of the configuration in its order, sections before
 *  what stands in them. */
void rlx_conf_walk(server_rec *main_server, rlx_conf_fn visit, void *baton);

/** Not 0 if a line is such a directive. */
int rlx_conf_is(const ap_directive_t *d, const char *directive);

/** Not 0 if the directive of a line begins like that. */
int rlx_conf_begins(const ap_directive_t *d, const char *with);

/** The first word of a line; of a section's, its argument without the ">".
 *  @return from p */
char *rlx_conf_word(apr_pool_t *p, const ap_directive_t *d);

/** The section that a line stands in; NULL: none but a <VirtualHost>. */
const ap_directive_t *rlx_conf_section(const ap_directive_t *d);

/** Not 0 if all of a directory, or what is below a path, is within another. */
int rlx_conf_is_within(const char *directory, const char *path);

/** A setting: any directive of the module that is no limit and no exemption,
 *  those being in the tree of sections. */
typedef struct rlx_setting_t {
    const char *directive;
    /** As written; secrets are masked. Escape it. */
    const char *value;
    /** The server's name. */
    const char *server;
    /** The section, as in rlx_section_t.name; NULL: outside of sections. */
    const char *section;
    /** "file:line"; NULL: it is not set, and this is what holds. */
    const char *declared_at;
} rlx_setting_t;

/**
 * What is set, and for the main server what holds where nothing is set.
 * Directives that a later one in the same place undoes are left out.
 * @param p for all of it
 * @return rlx_setting_t: of the main server by the manual's order, then of
 *         each place in the order of the configuration
 */
apr_array_header_t *rlx_conf_settings(apr_pool_t *p, server_rec *main_server);

/** A storage's URI and options with every secret masked.
 *  @param args of RateLimitStorage */
const char *rlx_conf_masked(apr_pool_t *p, const char *args);

#endif /* RLX_REPORT_CONF_H */
