/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * What counters are called in memcached:
 *
 *     rlx1|f10/3600|:_main:section:/api:::|192.0.2.7
 *
 * the limit, the scope and the key. No two counters share a name, whatever
 * bytes their parts hold: what separates parts and what a digest begins with
 * is escaped in them. Nothing here may depend on the machine: not its
 * byte order, not its secret.
 */

#include "store/memcached_inside.h"

#include <string.h>

#include <apr_sha1.h>
#include <apr_strings.h>

/** In front of all names; the digit is the form of names and values. */
#define FRONT "rlx1|"

/** A part that is longer is told by its digest. Two of these, what stands in
 *  front and the limit (33 at most) stay below RLX_MC_NAME_MAX. */
#define PART_BYTES_MAX 100

/** '#' and the digest in hex. */
#define DIGEST_TEXT_MAX (1 + 2 * APR_SHA1_DIGESTSIZE + 1)

static const char strategy_letters[RLX_STRATEGIES] = {
    [RLX_FIXED_WINDOW] = 'f',
    [RLX_MOVING_WINDOW] = 'm',
    [RLX_SLIDING_WINDOW_COUNTER] = 's',
    [RLX_GCRA] = 'g'
};

/** Not 0 if a byte stands for itself. All others are written %20. */
static int is_plain(char c)
{
    return c >= '!' && c <= '~' && c != '|' && c != '#' && c != '%';
}

static apr_size_t plain_len(const char *text, apr_size_t len)
{
    apr_size_t sum = len;

    for (apr_size_t i = 0; i < len; i++) {
        sum += is_plain(text[i]) ? 0 : 2;
    }
    return sum;
}

static const char hex[] = "0123456789abcdef";

static const char *plain_text(const char *text, apr_size_t len, apr_pool_t *p)
{
    char *out = apr_palloc(p, plain_len(text, len) + 1);
    char *to = out;

    for (apr_size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (is_plain(text[i])) {
            *to++ = text[i];
            continue;
        }
        *to++ = '%';
        *to++ = hex[c >> 4];
        *to++ = hex[c & 15];
    }
    *to = '\0';
    return out;
}

/** '#' and the digest of a text in hex. It cannot be turned back into a key
 *  that is long and random, and nobody gains by two keys of his own that
 *  share one.
 *  @param salt in front of the text, with its length: one key then has other
 *              digests elsewhere. May be empty */
static const char *digest_text(const char *salt, apr_size_t salt_len,
                               const char *text, apr_size_t len, apr_pool_t *p)
{
    unsigned char digest[APR_SHA1_DIGESTSIZE];
    char *out = apr_palloc(p, DIGEST_TEXT_MAX);
    char *to = out;
    const char *salt_text = apr_psprintf(p, "%" APR_SIZE_T_FMT ":", salt_len);
    apr_sha1_ctx_t sha1;

    apr_sha1_init(&sha1);
    apr_sha1_update(&sha1, salt_text, (unsigned int)strlen(salt_text));
    apr_sha1_update_binary(&sha1, (const unsigned char *)salt,
                           (unsigned int)salt_len);
    apr_sha1_update_binary(&sha1, (const unsigned char *)text,
                           (unsigned int)len);
    apr_sha1_final(digest, &sha1);
    *to++ = '#';
    for (int i = 0; i < APR_SHA1_DIGESTSIZE; i++) {
        *to++ = hex[digest[i] >> 4];
        *to++ = hex[digest[i] & 15];
    }
    *to = '\0';
    return out;
}

static const char *part(const char *text, apr_size_t len, apr_pool_t *p)
{
    return plain_len(text, len) <= PART_BYTES_MAX
           ? plain_text(text, len, p) : digest_text("", 0, text, len, p);
}

/** The limit. A name (which is in the scope) stands for count and burst, so
 *  that what was used stays used when they are edited. */
static const char *limit_text(const rlx_counter_t *counter, apr_pool_t *p)
{
    const rlx_limit_t *limit = counter->limit;
    char letter = strategy_letters[limit->strategy];
    apr_int64_t sec = limit->window_usec / 1000000;

    if (counter->is_named) {
        return apr_psprintf(p, "%cn/%" APR_INT64_T_FMT, letter, sec);
    }
    if (limit->strategy == RLX_GCRA && limit->burst != limit->count) {
        return apr_psprintf(p, "%c%u/%" APR_INT64_T_FMT "+%u", letter,
                            limit->count, sec, limit->burst);
    }
    return apr_psprintf(p, "%c%u/%" APR_INT64_T_FMT, letter, limit->count,
                        sec);
}

static const char *key_text(const rlx_counter_t *counter, int shows_keys,
                            apr_pool_t *p)
{
    return counter->key_is_public || shows_keys
           ? part(counter->key, counter->key_len, p)
           : digest_text(counter->scope, counter->scope_len, counter->key,
                         counter->key_len, p);
}

const char *rlx_mc_name_of(const rlx_counter_t *counter, int shows_keys,
                           apr_size_t *len, apr_pool_t *p)
{
    const char *name = apr_pstrcat(
        p, FRONT, limit_text(counter, p), "|",
        part(counter->scope, counter->scope_len, p), "|",
        key_text(counter, shows_keys, p), NULL);

    if (len) {
        *len = strlen(name);
    }
    return name;
}

const char *rlx_mc_generation_name(const char *prefix, apr_size_t prefix_len,
                                   apr_size_t *len, apr_pool_t *p)
{
    const char *name = apr_pstrcat(p, FRONT "!|", part(prefix, prefix_len, p),
                                   NULL);

    *len = strlen(name);
    return name;
}
