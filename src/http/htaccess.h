/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/**
 * @file  htaccess.h
 * @brief What .htaccess files may do: RateLimitAllowOverride, and how the
 *        limits that a file adds are kept from standing in anybody's way but
 *        its own visitors'.
 *
 * A file is read before it is known what is allowed there: httpd tells a
 * directive of a .htaccess neither the request nor what the sections around
 * the file say. So what a file wants is noted while it is read, both are
 * brought together when httpd merges them, and a hook compares them before
 * anything else looks at the request.
 */

#ifndef RLX_HTTP_HTACCESS_H
#define RLX_HTTP_HTACCESS_H

#include "http/request.h"

/** RateLimitAllowOverride. Unset means add. */
typedef enum {
    /** No directive of the module. */
    RLX_ALLOW_NONE,
    /** Limits on top of all others, headers, bodies. */
    RLX_ALLOW_ADD,
    /** Also to override and to exempt. */
    RLX_ALLOW_ALL
} rlx_allow_e;

/** How many limits the .htaccess files of a request may bring. */
#define RLX_HTACCESS_LIMITS 32
/** What one that is an expression counts for, and may give. */
#define RLX_HTACCESS_DYNAMIC 4
/** The highest count of a moving-window there: it keeps a log for each key.
 *  Eight bytes each. */
#define RLX_HTACCESS_LOG 1000

/** Not 0 if any .htaccess file was read for a request. httpd also lists
 *  directories where it found none. */
static inline int rlx_htaccess_was_read(const request_rec *r)
{
    const struct htaccess_result *h = r->htaccess;

    while (h && !h->htaccess) {
        h = h->next;
    }
    return h != NULL;
}

/** RateLimitAllowOverride. For TAKE1. */
const char *rlx_set_allow_override(cmd_parms *cmd, void *conf,
                                   const char *arg);

/** Note that a directive of the module stands in a .htaccess file. Every one
 *  that may; rlx_check_place() does it. */
void rlx_htaccess_note(const cmd_parms *cmd);

/** Note that it does what only RateLimitAllowOverride All allows.
 *  @param what that, "override_defaults=on"; NULL: the directive itself */
void rlx_htaccess_note_beyond(const cmd_parms *cmd, const char *what);

/** Note how many limits it brings. */
void rlx_htaccess_note_limits(const cmd_parms *cmd, int n);

/**
 * Would a limit take more memory than a .htaccess file may ask for?
 * @param limit with the strategy that it is counted by
 * @return NULL: no; else a sentence from p that says why
 */
const char *rlx_htaccess_refuses(const rlx_limit_t *limit, apr_pool_t *p);

/** For rlx_dir_merge(). Either may be NULL; nothing is written to. */
rlx_htaccess_t *rlx_htaccess_merge(apr_pool_t *p, rlx_htaccess_t *outer,
                                   rlx_htaccess_t *inner);

/**
 * The post_perdir_config hook, also for subrequests: were the .htaccess files
 * of a request allowed what they want?
 * @return DECLINED, or 500 after one line in the log
 */
int rlx_htaccess_check(request_rec *r);

/** Not 0 if a section is of a .htaccess file that may only add.
 *  @param dir the merged configuration; may be NULL */
int rlx_htaccess_is_added(const rlx_dir_t *dir, const rlx_section_t *section);

/** Not 0 if a request was refused by limits alone that .htaccess files
 *  added: then nobody else is to bear the consequences. */
int rlx_htaccess_alone_refused(const rlx_request_t *request);

/**
 * What is served for a refusal is never refused; but a file that refuses on
 * purpose, and has an error document that is what its visitors want, would
 * have got rid of every limit from outside. So those are looked at for such
 * an error document as for any request.
 * @param r    an internal redirect after a refusal
 * @param plan what holds for it; afterwards without what files added
 * @return not 0 if the plan is to be decided: then the record has forgotten
 *         what it was not charged for
 */
int rlx_htaccess_goes_on(request_rec *r, rlx_request_t *request,
                         rlx_plan_t *plan);

#endif /* RLX_HTTP_HTACCESS_H */
