/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Linked into the sanitized module alone, by the linker's --wrap: each piece
 * that the module takes from a pool is one of malloc's, freed when the pool
 * is. APR cuts pieces out of large blocks, in which the address sanitizer
 * sees neither a step past the end of one nor the use of one whose pool is
 * gone but whose block has a new owner.
 */

#include <stdlib.h>
#include <string.h>

#include <apr_pools.h>
#include <apr_strings.h>

void *__wrap_apr_palloc(apr_pool_t *p, apr_size_t size);
char *__wrap_apr_pstrdup(apr_pool_t *p, const char *text);
char *__wrap_apr_pstrmemdup(apr_pool_t *p, const char *text, apr_size_t len);
void *__wrap_apr_pmemdup(apr_pool_t *p, const void *bytes, apr_size_t size);

static apr_status_t release(void *piece)
{
    free(piece);
    return APR_SUCCESS;
}

void *__wrap_apr_palloc(apr_pool_t *p, apr_size_t size)
{
    void *piece = malloc(size);

    if (!piece) {
        abort();
    }
    /* No malloc's contents are to be counted on either. */
    memset(piece, 0xa5, size);
    apr_pool_cleanup_register(p, piece, release, apr_pool_cleanup_null);
    return piece;
}

void *__wrap_apr_pmemdup(apr_pool_t *p, const void *bytes, apr_size_t size)
{
    return bytes ? memcpy(__wrap_apr_palloc(p, size), bytes, size) : NULL;
}

char *__wrap_apr_pstrmemdup(apr_pool_t *p, const char *text, apr_size_t len)
{
    char *copy = text ? __wrap_apr_palloc(p, len + 1) : NULL;

    if (copy) {
        memcpy(copy, text, len);
        copy[len] = '\0';
    }
    return copy;
}

char *__wrap_apr_pstrdup(apr_pool_t *p, const char *text)
{
    return __wrap_apr_pstrmemdup(p, text, text ? strlen(text) : 0);
}
