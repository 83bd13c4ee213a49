/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Directives that say how answers look: keys in logs, bodies of refusals, names
 * of fields. They are rare, so all of them together are one pointer in the
 * configuration that httpd merges for each request.
 */

#include "http/manner.h"

#include "http/parse.h"

#define IN_ALL (RLX_IN_SERVER | RLX_IN_SECTION)

static const rlx_choice_t displays[] = {
    { "auto", RLX_DISPLAY_AUTO },
    { "plain", RLX_DISPLAY_PLAIN },
    { "hash", RLX_DISPLAY_HASH },
    { NULL, 0 }
};

/** What is set here, before any merging. */
static rlx_manner_t *manner_here(const cmd_parms *cmd, rlx_dir_t *dir)
{
    if (!dir->manner) {
        dir->manner = apr_pcalloc(cmd->pool, sizeof(*dir->manner));
        dir->manner->key_display = RLX_UNSET;
    }
    return dir->manner;
}

rlx_manner_t *rlx_manner_merge(apr_pool_t *p, rlx_manner_t *outer,
                               rlx_manner_t *inner)
{
    rlx_manner_t *manner;

    if (!inner || !outer || inner == outer) {
        return inner ? inner : outer;
    }
    manner = apr_palloc(p, sizeof(*manner));
    *manner = *outer;
    if (inner->key_display != RLX_UNSET) {
        manner->key_display = inner->key_display;
    }
    return manner;
}

const char *rlx_set_key_display(cmd_parms *cmd, void *conf, const char *arg)
{
    const char *error = rlx_check_place(cmd, IN_ALL);

    return error ? error
           : rlx_choose(cmd, "", arg, displays,
                        &manner_here(cmd, conf)->key_display);
}
