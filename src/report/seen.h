/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  seen.h
 * @brief What the .htaccess files say that were seen so far, read anew.
 */

#ifndef RLX_REPORT_SEEN_H
#define RLX_REPORT_SEEN_H

#include "report/snapshot.h"

/** A part of a file that speaks of limits: what stands in it by itself, or a
 *  section in it. */
typedef struct rlx_seen_section_t {
    const rlx_section_t *section;
    /** "Htaccess" and the directory; of a section in the file "Files" and
     *  "x.txt", "If" and its condition. Escape it. */
    const char *type;
    const char *path;
    /** "file:line". */
    const char *declared_at;
    /** What its RateLimitExempt says, const char *; may be empty. */
    apr_array_header_t *exempt;
    /** rlx_limit_view_t, as written; may be empty. */
    apr_array_header_t *limits;
} rlx_seen_section_t;

/** A .htaccess file that speaks of limits. */
typedef struct rlx_seen_view_t {
    /** The server that read it, and its name in the tree. */
    const rlx_server_t *sv;
    const char *server;
    /** The file, and its directory with a slash at its end. Escape it. */
    const char *file;
    const char *path;
    /** When a child last read something in it that it did not know, wall
     *  clock: not when it was last used. */
    rlx_usec_t seen_at;
    /** 0: it is right; else what requests to its directory get, and what the
     *  error log says then (NULL: nothing). Escape it. */
    int status;
    const char *error;
    /** Not 0: it may only add limits. */
    int is_added;
    /** rlx_seen_section_t; empty where status is not 0. */
    apr_array_header_t *sections;
} rlx_seen_view_t;

/** Read the files that were seen so far, into the snapshot, unless they are
 *  there. Files that are gone, or speak of limits no more, are left out.
 *  @param r the request for the page */
void rlx_seen_look(request_rec *r, rlx_snapshot_t *snapshot);

#endif /* RLX_REPORT_SEEN_H */
