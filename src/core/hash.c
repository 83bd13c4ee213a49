/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * SipHash-2-4 with 128 bits of output: the name of every counter is made
 * with it, on every request, so it is written for short texts.
 */

#include <string.h>

#include "core/hash.h"

#define ROTL(x, b) (((x) << (b)) | ((x) >> (64 - (b))))

typedef struct sip_t {
    uint64_t v0;
    uint64_t v1;
    uint64_t v2;
    uint64_t v3;
} sip_t;

static inline void sip_round(sip_t *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = ROTL(s->v1, 13) ^ s->v0;
    s->v3 = ROTL(s->v3, 16) ^ s->v2;
    s->v0 = ROTL(s->v0, 32);

    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = ROTL(s->v1, 17) ^ s->v2;
    s->v3 = ROTL(s->v3, 21) ^ s->v0;
    s->v2 = ROTL(s->v2, 32);
}

static inline void sip_block(sip_t *s, uint64_t m)
{
    s->v3 ^= m;
    sip_round(s);
    sip_round(s);
    s->v0 ^= m;
}

static inline uint64_t sip_squeeze(sip_t *s)
{
    sip_round(s);
    sip_round(s);
    sip_round(s);
    sip_round(s);
    return s->v0 ^ s->v1 ^ s->v2 ^ s->v3;
}

/* Eight bytes as a little-endian number. */
static inline uint64_t load64(const unsigned char *p)
{
    uint64_t x;

    memcpy(&x, p, sizeof(x));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap64(x);
#endif
    return x;
}

static inline uint64_t load32(const unsigned char *p)
{
    uint32_t x;

    memcpy(&x, p, sizeof(x));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    x = __builtin_bswap32(x);
#endif
    return x;
}

/* The 0 to 7 bytes that follow the whole blocks. No loop: two or three loads
 * that may overlap, since the bytes they share are the same bytes. */
static inline uint64_t load_rest(const unsigned char *p, size_t rest,
                                 size_t len)
{
    if (rest == 0) {
        return 0;
    }
    if (len >= 8) {
        return load64(p + rest - 8) >> (64 - 8 * rest);
    }
    if (rest >= 4) {
        return load32(p) | (load32(p + rest - 4) << (8 * (rest - 4)));
    }
    return p[0] | ((uint64_t)p[rest / 2] << (8 * (rest / 2)))
           | ((uint64_t)p[rest - 1] << (8 * (rest - 1)));
}

/* Hash the data and, if it is not 0, one byte after them. */
static inline rlx_id_t sip128(const rlx_secret_t *secret, const void *data,
                              size_t len, unsigned int after)
{
    sip_t s = { secret->k0 ^ UINT64_C(0x736f6d6570736575),
                secret->k1 ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
                secret->k0 ^ UINT64_C(0x6c7967656e657261),
                secret->k1 ^ UINT64_C(0x7465646279746573) };
    const unsigned char *p = data;
    size_t rest = len & 7;
    size_t total = len + (after ? 1 : 0);
    size_t blocks;
    uint64_t last;
    rlx_id_t id;

    for (blocks = len / 8; blocks > 0; --blocks, p += 8) {
        sip_block(&s, load64(p));
    }
    last = load_rest(p, rest, len);
    if (after) {
        last |= (uint64_t)after << (8 * rest);
        if (rest == 7) {
            sip_block(&s, last);
            last = 0;
        }
    }
    sip_block(&s, last | ((uint64_t)total << 56));

    s.v2 ^= 0xee;
    id.word[0] = sip_squeeze(&s);
    s.v1 ^= 0xdd;
    id.word[1] = sip_squeeze(&s);
    return id;
}

rlx_id_t rlx_siphash128(const rlx_secret_t *secret, const void *data,
                        size_t len)
{
    return sip128(secret, data, len, 0);
}

/* The kind goes behind the text: (text, kind) is then one unambiguous
 * message, and the independence of the ids is SipHash's own promise. */
rlx_id_t rlx_id_of(const rlx_secret_t *secret, rlx_id_kind_e kind,
                   const void *data, size_t len)
{
    return sip128(secret, data, len, (unsigned int)kind);
}
