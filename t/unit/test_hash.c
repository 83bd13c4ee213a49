/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Known answers of SipHash-2-4-128 and the independence of ids.
 */

#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "tap.h"

/* Key 00 01 .. 0f, message 00 01 .. of the length given: the 16 bytes that
 * the reference prints. Made with OpenSSL's SIPHASH, the first three are also
 * in the reference's own table. */
static const struct {
    size_t len;
    const char *hex;
} known[] = {
    { 0, "a3817f04ba25a8e66df67214c7550293" },
    { 1, "da87c1d86b99af44347659119b22fc45" },
    { 2, "8177228da4a45dc7fca38bdef60affe4" },
    { 3, "9c70b60c5267a94e5f33b6b02985ed51" },
    { 4, "f88164c12d9c8faf7d0f6e7c7bcd5579" },
    { 5, "1368875980776f8854527a07690e9627" },
    { 6, "14eeca338b208613485ea0308fd7a15e" },
    { 7, "a1f1ebbed8dbc153c0b84aa61ff08239" },
    { 8, "3b62a9ba6258f5610f83e264f31497b4" },
    { 9, "264499060ad9baabc47f8b02bb6d71ed" },
    { 10, "00110dc378146956c95447d3f3d0fbba" },
    { 11, "0151c568386b6677a2b4dc6f81e5dc18" },
    { 12, "d626b266905ef35882634df68532c125" },
    { 13, "9869e247e9c08b10d029934fc4b952f7" },
    { 14, "31fcefac66d7de9c7ec7485fe4494902" },
    { 15, "5493e99933b0a8117e08ec0f97cfc3d9" },
    { 16, "6ee2a4ca67b054bbfd3315bf85230577" },
    { 17, "473d06e8738db89854c066c47ae47740" },
    { 18, "a426e5e423bf4885294da481feaef723" },
    { 19, "78017731cf65fab074d5208952512eb1" },
    { 20, "9e25fc833f2290733e9344a5e83839eb" },
    { 21, "568e495abe525a218a2214cd3e071d12" },
    { 22, "4a29b54552d16b9a469c10528eff0aae" },
    { 23, "c9d184ddd5a9f5e0cf8ce29a9abf691c" },
    { 24, "2db479ae78bd50d8882a8a178a6132ad" },
    { 25, "8ece5f042d5e447b5051b9eacb8d8f6f" },
    { 26, "9c0b53b4b3c307e87eaee08678141f66" },
    { 27, "abf248af69a6eae4bfd3eb2f129eeb94" },
    { 28, "0664da1668574b88b935f3027358aef4" },
    { 29, "aa4b9dc4bf337de90cd4fd3c467c6ab7" },
    { 30, "ea5c7f471faf6bde2b1ad7d4686d2287" },
    { 31, "2939b0183223fafc1723de4f52c43d35" },
    { 32, "7c3956ca5eeafc3e363e9d556546eb68" },
    { 33, "77c6077146f01c32b6b69d5f4ea9ffcf" },
    { 63, "5150d1772f50834a503e069a973fbd7c" },
    { 64, "1eaf077dc0d4cd3f8cad4d383658a74b" },
    { 255, "1c9bb67528165f8e468248e3799b0eab" },
    { 256, "67a00304d3834c4612eaee7b5f579acb" },
    { 257, "1b25fee1ef6fbb23179c26056c2995fc" }
};

static const rlx_secret_t test_secret = { UINT64_C(0x0706050403020100),
                                          UINT64_C(0x0f0e0d0c0b0a0908) };

static void hex_of(rlx_id_t id, char *hex)
{
    int i;

    for (i = 0; i < 16; ++i) {
        sprintf(hex + 2 * i, "%02x",
                (unsigned int)(id.word[i / 8] >> (8 * (i % 8))) & 0xff);
    }
}

/* Each message in a buffer of its own length, so that a sanitizer sees a load
 * before its beginning or behind its end. */
static rlx_id_t hash_counted(size_t len)
{
    unsigned char *message = malloc(len ? len : 1);
    rlx_id_t id;
    size_t i;

    for (i = 0; i < len; ++i) {
        message[i] = (unsigned char)i;
    }
    id = rlx_siphash128(&test_secret, len ? message : NULL, len);
    free(message);
    return id;
}

static void known_answers(void)
{
    char hex[33];
    char name[32];
    size_t i;

    for (i = 0; i < sizeof(known) / sizeof(known[0]); ++i) {
        hex_of(hash_counted(known[i].len), hex);
        sprintf(name, "%lu bytes", (unsigned long)known[i].len);
        is_str(hex, known[i].hex, name);
    }
}

/* The kind is one more byte behind the text. */
static void id_is_hash_of_text_and_kind(void)
{
    unsigned char joined[40];
    unsigned char text[40];
    int wrong = 0;
    size_t len;

    for (len = 0; len < 39; ++len) {
        memset(text, 'a', len);
        memcpy(joined, text, len);
        joined[len] = RLX_ID_SCOPE;
        wrong += !rlx_id_equal(
            rlx_id_of(&test_secret, RLX_ID_SCOPE, text, len),
            rlx_siphash128(&test_secret, joined, len + 1));
    }
    is_int(wrong, 0, "an id is the hash of text and kind, 0 to 38 bytes");
}

static void ids_differ(void)
{
    rlx_secret_t other = { test_secret.k0, test_secret.k1 ^ 1 };
    rlx_id_t a = rlx_id_of(&test_secret, RLX_ID_KEY, "10.1.2.3", 8);
    rlx_id_t b = rlx_id_of(&test_secret, RLX_ID_ENDPOINT, "10.1.2.3", 8);
    rlx_id_t none = { { 0, 0 } };

    ok(!rlx_id_equal(a, b), "kinds have ids of their own");
    ok(!rlx_id_equal(a, rlx_id_of(&other, RLX_ID_KEY, "10.1.2.3", 8)),
       "secrets have ids of their own");
    ok(!rlx_id_equal(a, rlx_siphash128(&test_secret, "10.1.2.3", 8)),
       "an id is not the bare hash");
    ok(rlx_id_equal(rlx_id_mix(a, b), rlx_id_mix(b, a)), "order is free");
    ok(rlx_id_equal(rlx_id_mix(rlx_id_mix(a, b), b), a), "mix is undone");
    ok(rlx_id_equal(rlx_id_mix(a, none), a), "zero is neutral");
    ok(rlx_id_equal(rlx_id_of(&test_secret, RLX_ID_KEY, NULL, 0),
                    rlx_id_of(&test_secret, RLX_ID_KEY, "", 0)),
       "no data");
}

int main(void)
{
    known_answers();
    id_is_hash_of_text_and_kind();
    ids_differ();
    return tap_done();
}
