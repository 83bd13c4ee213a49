/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  seen.h
 * @brief Which .htaccess files were seen to speak of limits, over all
 *        children and graceful restarts.
 *
 * A list of names in shared memory, without locks. A child notes a file when
 * it reads a line that it does not know yet: nothing is done for a request
 * whose files are remembered (remembered.h).
 */

#ifndef RLX_HTTP_SEEN_H
#define RLX_HTTP_SEEN_H

#include "http/config.h"

/** A file that was seen. */
typedef struct rlx_seen_t {
    const rlx_server_t *sv;
    const char *file;
    /** When a child last read something in it that it did not know, wall
     *  clock. */
    rlx_usec_t seen_at;
    /** For rlx_seen_forget(). */
    int slot;
} rlx_seen_t;

/** Get the memory, in the parent before there are children. Where there can be
 *  no such file, or no memory, nothing is noted. */
void rlx_seen_open(server_rec *main_server);

/** Note the .htaccess file that is being read. Safe in any thread. */
void rlx_seen_note(const cmd_parms *cmd);

/** The files of this configuration's servers: rlx_seen_t, each once. Safe in
 *  any thread. */
apr_array_header_t *rlx_seen_list(apr_pool_t *p, server_rec *main_server);

/** How many files were left out, about: there was no room, or their names are
 *  too long. */
int rlx_seen_left_out(void);

/** A file is gone, or does not speak of limits any more: make room. */
void rlx_seen_forget(const rlx_seen_t *seen);

#endif /* RLX_HTTP_SEEN_H */
