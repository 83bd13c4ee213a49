/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Which line of a .htaccess file is wrong. The file is read by httpd's own
 * parser once more, as if everything were allowed there. What is only not
 * allowed is found by its name, which begins the sentence.
 */

#include "report/wrong.h"

#include "apr_strings.h"
#include "http_config.h"
#include "http_core.h"

static const ap_directive_t *find_directive(const ap_directive_t *tree,
                                            const char *sentence)
{
    const ap_directive_t *found = NULL;

    for (; tree && !found; tree = tree->next) {
        apr_size_t len = strlen(tree->directive);

        if (!strncmp(sentence, tree->directive, len) && sentence[len] == ' ') {
            return tree;
        }
        found = find_directive(tree->first_child, sentence);
    }
    return found;
}

/** Read a file.
 *  @return its wrong line; 0: none was found */
static int read_file(request_rec *r, const char *file, const char *sentence)
{
    cmd_parms parms;
    ap_directive_t *tree = NULL;
    const ap_directive_t *found;

    memset(&parms, 0, sizeof(parms));
    parms.override = OR_ALL;
    parms.override_opts = OPT_ALL | OPT_SYM_OWNER | OPT_MULTI;
    parms.limited = -1;
    parms.pool = parms.temp_pool = r->pool;
    parms.server = r->server;
    parms.path = ap_make_dirstr_parent(r->pool, file);
    if (ap_pcfg_openfile(&parms.config_file, r->pool, file) != APR_SUCCESS) {
        return 0;
    }
    if (ap_build_config(&parms, r->pool, r->pool, &tree)) {
        int line = (int)parms.config_file->line_number;

        ap_cfg_closefile(parms.config_file);
        return line;
    }
    ap_cfg_closefile(parms.config_file);
    if (ap_walk_config(tree, &parms, ap_create_per_dir_config(r->pool))) {
        return parms.err_directive ? parms.err_directive->line_num : 0;
    }
    found = find_directive(tree, sentence);
    return found ? found->line_num : 0;
}

const char *rlx_wrong_place(request_rec *r, const char *said)
{
    const char *end = said[0] == '/' ? ap_strstr_c(said, ": ") : NULL;
    const char *file;
    int line;

    if (!end) {
        return NULL;
    }
    file = apr_pstrmemdup(r->pool, said, (apr_size_t)(end - said));
    line = read_file(r, file, end + 2);
    return line ? apr_psprintf(r->pool, "%s:%d", file, line) : NULL;
}
