/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * The names of counters in Redis. A key is read back from its ends: the
 * prefix goes up to the first ":{" and has no colon itself, the client up to
 * the next "}", the limit is what follows the last colon; in between is the
 * scope. So different parts make different keys.
 */

#include "store/redis_key.h"

#include <apr_sha1.h>
#include <apr_strings.h>

#define PREFIX_MAX 64
#define CLIENT_MAX 96
#define SCOPE_MAX  192
/** The prefix of a scope text that has none: no text is encoded so. */
#define NO_PREFIX  "%"
/** 160 bits, six in a sign. */
#define DIGEST_SIGNS 27
/** Letter, count, unit and burst. */
#define LIMIT_MAX (RLX_LIMIT_TEXT_MAX + 24)

/** Where a key is written; there is room for all of it. */
typedef struct writer_t {
    char *to;
} writer_t;

static void put(writer_t *w, const char *text, size_t len)
{
    memcpy(w->to, text, len);
    w->to += len;
}

/** Signs that stand for something else in a key, in a pattern, or in what is
 *  written here. */
static const unsigned char has_meaning[128] = {
    ['%'] = 1, ['{'] = 1, ['}'] = 1, ['*'] = 1, ['?'] = 1, ['['] = 1,
    [']'] = 1, ['\\'] = 1, ['"'] = 1, ['\''] = 1, ['#'] = 1, ['^'] = 1,
    ['+'] = 1
};

/** Not 0 if a byte stands for itself. */
static inline int is_plain(unsigned char c)
{
    return c >= ' ' && c < 0x7f && !has_meaning[c];
}

static void put_encoded(writer_t *w, const char *text, size_t len)
{
    static const char hex[] = "0123456789ABCDEF";
    char *to = w->to;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];

        if (is_plain(c)) {
            *to++ = c == ' ' ? '+' : (char)c;
        }
        else {
            *to++ = '%';
            *to++ = hex[c >> 4];
            *to++ = hex[c & 15];
        }
    }
    w->to = to;
}

static size_t encoded_len(const char *text, size_t len)
{
    size_t sum = len;

    for (size_t i = 0; i < len; i++) {
        sum += is_plain((unsigned char)text[i]) ? 0 : 2;
    }
    return sum;
}

/** # and the digest of a text, salted. */
static void put_digest(writer_t *w, const char *salt, size_t salt_len,
                       const char *text, size_t len)
{
    static const char signs[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "abcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char digest[APR_SHA1_DIGESTSIZE + 1] = { 0 };
    apr_sha1_ctx_t sha1;

    apr_sha1_init(&sha1);
    apr_sha1_update_binary(&sha1, (const unsigned char *)salt,
                           (unsigned int)salt_len);
    apr_sha1_update_binary(&sha1, (const unsigned char *)"", 1);
    apr_sha1_update_binary(&sha1, (const unsigned char *)text,
                           (unsigned int)len);
    apr_sha1_final(digest, &sha1);
    *w->to++ = '#';
    for (int i = 0; i < DIGEST_SIGNS; i++) {
        int bit = i * 6;
        unsigned int two = (unsigned int)digest[bit / 8] << 8
                           | digest[bit / 8 + 1];

        *w->to++ = signs[two >> (10 - bit % 8) & 63];
    }
}

static void put_part(writer_t *w, const char *text, size_t len, size_t most)
{
    if (encoded_len(text, len) > most) {
        put_digest(w, "", 0, text, len);
    }
    else {
        put_encoded(w, text, len);
    }
}

/** What a scope text begins with, up to its first colon. NULL: no colon. */
static const char *prefix_end(const rlx_counter_t *counter)
{
    return memchr(counter->scope, ':', counter->scope_len);
}

static void put_client(writer_t *w, const rlx_counter_t *counter,
                       int stores_plain)
{
    const char *end = prefix_end(counter);

    if (!counter->key_len) {
        *w->to++ = '%'; /* an empty tag would be none */
    }
    else if (stores_plain || counter->key_is_public) {
        put_part(w, counter->key, counter->key_len, CLIENT_MAX);
    }
    else {
        put_digest(w, counter->scope,
                   end ? (size_t)(end - counter->scope) : 0, counter->key,
                   counter->key_len);
    }
}

/** "f10/1minute", with a burst of its own "g10/1minute,5"; of a named limit,
 *  whose count may be edited, "f/60". */
static void put_limit(writer_t *w, const rlx_counter_t *counter)
{
    static const char letters[RLX_STRATEGIES] = {
        [RLX_FIXED_WINDOW] = 'f', [RLX_MOVING_WINDOW] = 'm',
        [RLX_SLIDING_WINDOW_COUNTER] = 's', [RLX_GCRA] = 'g'
    };
    const rlx_limit_t *limit = counter->limit;

    *w->to++ = letters[limit->strategy];
    if (counter->is_named) {
        w->to += apr_snprintf(w->to, LIMIT_MAX, "/%" APR_INT64_T_FMT,
                              limit->window_usec / 1000000);
        return;
    }
    for (const char *c = limit->text; *c; c++) {
        if (*c == ' ' && !strncmp(c, " per ", 5)) {
            *w->to++ = '/';
            c += 4;
        }
        else if (*c != ' ' && *c != ':') {
            put_encoded(w, c, 1);
        }
    }
    if (limit->burst != limit->count) {
        w->to += apr_snprintf(w->to, LIMIT_MAX, ",%u", limit->burst);
    }
}

static void put_prefix(writer_t *w, const char *prefix, size_t len)
{
    put(w, "rlx:", 4);
    put_part(w, prefix, len, PREFIX_MAX);
    put(w, ":{", 2);
}

rlx_redis_key_t rlx_redis_key_of(const rlx_counter_t *counter,
                                 int stores_plain, apr_pool_t *p)
{
    const char *end = prefix_end(counter);
    const char *rest = end ? end + 1 : counter->scope;
    char buffer[PREFIX_MAX + CLIENT_MAX + SCOPE_MAX + 3 * LIMIT_MAX + 16];
    writer_t w = { buffer };
    rlx_redis_key_t key;

    if (end) {
        put_prefix(&w, counter->scope, (size_t)(end - counter->scope));
    }
    else {
        put(&w, "rlx:" NO_PREFIX ":{", 7);
    }
    put_client(&w, counter, stores_plain);
    put(&w, "}:", 2);
    put_part(&w, rest,
             counter->scope_len - (size_t)(rest - counter->scope), SCOPE_MAX);
    *w.to++ = ':';
    put_limit(&w, counter);
    key.len = (size_t)(w.to - buffer);
    key.text = apr_pstrmemdup(p, buffer, key.len);
    return key;
}

const char *rlx_redis_key_pattern(const char *prefix, size_t len,
                                  apr_pool_t *p)
{
    char buffer[PREFIX_MAX + 16];
    writer_t w = { buffer };

    put_prefix(&w, prefix, len);
    *w.to++ = '*';
    return apr_pstrmemdup(p, buffer, (apr_size_t)(w.to - buffer));
}
