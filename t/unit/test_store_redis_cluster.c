/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * Slots of a cluster, what its servers and sentinels say, whatever that is,
 * and the counters of a call by slot.
 */

#include "store_fixture.h"
#include "store/redis_batch.h"
#include "store/redis_sentinel.h"
#include "store/redis_slots.h"

/* A reply as hiredis reads it. To be freed. */
static redisReply *reply_of(const char *bytes, size_t len)
{
    redisReader *reader = redisReaderCreate();
    void *reply = NULL;

    redisReaderFeed(reader, bytes, len);
    redisReaderGetReply(reader, &reply);
    redisReaderFree(reader);
    return reply;
}

/* --- slots --------------------------------------------------------------- */

/* By CLUSTER KEYSLOT of a redis-server. */
static const struct {
    const char *key;
    unsigned int slot;
} slots_of_keys[] = {
    { "", 0 },
    { "123456789", 12739 },
    { "foo", 12182 },
    { "{foo}", 12182 },
    { "a{foo}b{bar}", 12182 },
    { "x", 16287 },
    { "a}{x}", 16287 },
    { "{}x", 10595 },
    { "{x", 11068 },
    { "rlx::{127.0.0.1}:www:section:/a::f10/1hour", 15613 },
};

static void test_slots_of_keys(void)
{
    size_t i;

    for (i = 0; i < sizeof(slots_of_keys) / sizeof(slots_of_keys[0]); ++i) {
        const char *key = slots_of_keys[i].key;

        is_int(rlx_redis_slot_of(key, strlen(key)), slots_of_keys[i].slot,
               key);
    }
    is_int(rlx_redis_slot_of("{x}\0y", 5), rlx_redis_slot_of("x", 1),
           "a NUL is a sign like others");
}

/* --- CLUSTER SLOTS ------------------------------------------------------- */

#define RANGE(first, last, node) "*3\r\n:" first "\r\n:" last "\r\n" node
#define NODE(host, port) "*2\r\n" host "\r\n:" port "\r\n"
#define HOST1 "$9\r\n127.0.0.1"
#define HOST2 "$3\r\n::1"

static const struct {
    const char *name;
    const char *text;
    /* What is wrong with it, or NULL. */
    const char *wrong;
} maps[] = {
    { "one range", "*1\r\n" RANGE("0", "16383", NODE(HOST1, "7000")), NULL },
    { "no host is the one that was asked",
      "*1\r\n" RANGE("0", "1", NODE("$0\r\n", "7000")), NULL },
    { "nor is nothing", "*1\r\n" RANGE("0", "1", NODE("$-1", "7000")), NULL },
    { "no list", "+OK\r\n", "no list of slots" },
    { "an error", "-ERR This instance has cluster support disabled\r\n",
      "no list of slots" },
    { "nothing", "$-1\r\n", "no list of slots" },
    { "no ranges", "*0\r\n", "a cluster without slots" },
    { "a range of texts", "*1\r\n*3\r\n+0\r\n+1\r\n" NODE(HOST1, "7000"),
      "no range of slots" },
    { "a range without servers", "*1\r\n*2\r\n:0\r\n:1\r\n",
      "no range of slots" },
    { "a range that is a number", "*1\r\n:0\r\n", "no range of slots" },
    { "a slot too high", "*1\r\n" RANGE("0", "16384", NODE(HOST1, "7000")),
      "no range of slots" },
    { "a slot too low", "*1\r\n" RANGE("-1", "0", NODE(HOST1, "7000")),
      "no range of slots" },
    { "a range backwards", "*1\r\n" RANGE("2", "1", NODE(HOST1, "7000")),
      "no range of slots" },
    { "a range that overlaps",
      "*2\r\n" RANGE("0", "5", NODE(HOST1, "7000"))
      RANGE("5", "6", NODE(HOST2, "7001")), "a slot that two servers have" },
    { "port 0", "*1\r\n" RANGE("0", "1", NODE(HOST1, "0")),
      "slots of a server without" },
    { "a port too high", "*1\r\n" RANGE("0", "1", NODE(HOST1, "65536")),
      "slots of a server without" },
    { "a port that is text",
      "*1\r\n" RANGE("0", "1", "*2\r\n" HOST1 "\r\n$1\r\n7\r\n"),
      "slots of a server without" },
    { "a server that is text", "*1\r\n" RANGE("0", "1", "+127.0.0.1\r\n"),
      "slots of a server without" },
    { "a host that is a number",
      "*1\r\n" RANGE("0", "1", "*2\r\n:1\r\n:7000\r\n"),
      "slots of a server without" },
    { "a host that nobody knows",
      "*1\r\n" RANGE("0", "1", NODE("$1\r\n?", "7000")),
      "slots of a server without" },
    { "a host with a blank",
      "*1\r\n" RANGE("0", "1", NODE("$3\r\na b", "7000")),
      "slots of a server without" },
};

static void test_maps(void)
{
    static rlx_redis_slots_t slots;
    size_t i;

    for (i = 0; i < sizeof(maps) / sizeof(maps[0]); ++i) {
        redisReply *reply = reply_of(maps[i].text, strlen(maps[i].text));
        const char *wrong = reply ? rlx_redis_slots_read(reply, &slots)
                                  : "no reply";

        ok(wrong ? maps[i].wrong && strstr(wrong, maps[i].wrong)
                 : !maps[i].wrong, "%s: %s", maps[i].name,
           wrong ? wrong : "read");
        freeReplyObject(reply);
    }
}

/* The slots of three ranges, two of one server; its replicas are no matter. */
static void test_map(void)
{
    static rlx_redis_slots_t slots;
    const char *text = "*3\r\n"
        "*4\r\n:0\r\n:99\r\n" NODE(HOST1, "7000") NODE(HOST2, "7009")
        RANGE("200", "16383", NODE(HOST1, "7001"))
        "*3\r\n:101\r\n:101\r\n*4\r\n" HOST1 "\r\n:7000\r\n$2\r\nid\r\n*0\r\n";
    redisReply *reply = reply_of(text, strlen(text));

    is_str(rlx_redis_slots_read(reply, &slots), NULL, "a map");
    is_int(slots.n, 2, "of two servers");
    ok(slots.owner[0] == 0 && slots.owner[99] == 0 && slots.owner[101] == 0
       && slots.owner[200] == 1 && slots.owner[16383] == 1, "and their slots");
    ok(slots.owner[100] == RLX_REDIS_NOBODY
       && slots.owner[199] == RLX_REDIS_NOBODY, "some are nobody's");
    ok(slots.nodes[1].port == 7001 && slots.nodes[1].len == 9
       && !memcmp(slots.nodes[1].host, "127.0.0.1", 9), "where they are");
    freeReplyObject(reply);
}

/* As many servers as slots. */
static void test_many_servers(apr_pool_t *p)
{
    static rlx_redis_slots_t slots;
    char *text = apr_palloc(p, 2000 * 64), *to = text;
    redisReply *reply;
    int i;

    to += sprintf(to, "*%d\r\n", RLX_REDIS_NODES_MAX + 1);
    for (i = 0; i <= RLX_REDIS_NODES_MAX; ++i) {
        to += sprintf(to, "*3\r\n:%d\r\n:%d\r\n*2\r\n" HOST1 "\r\n:%d\r\n", i,
                      i, i + 1);
    }
    reply = reply_of(text, (size_t)(to - text));
    is_str(rlx_redis_slots_read(reply, &slots),
           "more servers than a cluster has", "more than there can be");
    freeReplyObject(reply);
}

/* --- MOVED and ASK ------------------------------------------------------- */

static const struct {
    const char *text;
    rlx_redis_turn_e turn;
    unsigned int slot;
    const char *host;
    int port;
} turns[] = {
    { "-MOVED 3999 127.0.0.1:6381\r\n", RLX_REDIS_MOVED, 3999, "127.0.0.1",
      6381 },
    { "-ASK 0 a.b-c:1\r\n", RLX_REDIS_ASK, 0, "a.b-c", 1 },
    { "-MOVED 16383 2001:db8::1:65535\r\n", RLX_REDIS_MOVED, 16383,
      "2001:db8::1", 65535 },
    { "-MOVED 1 :7000\r\n", RLX_REDIS_MOVED, 1, "", 7000 },
    { "-MOVED 16384 127.0.0.1:6381\r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
    { "-MOVED -1 127.0.0.1:6381\r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
    { "-MOVED 99999999999999999999 a:1\r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
    { "-MOVED 1 127.0.0.1:0\r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
    { "-MOVED 1 127.0.0.1:65536\r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
    { "-MOVED 1 127.0.0.1:\r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
    { "-MOVED 1 127.0.0.1:1x\r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
    { "-MOVED 1 127.0.0.1\r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
    { "-MOVED 1 a b:1\r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
    { "-MOVED 1 ?:1\r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
    { "-MOVED 1\r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
    { "-MOVED \r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
    { "-MOVED\r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
    { "-ASK\r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
    { "-ASK 1 \r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
    { "-ASKING 1 a:1\r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
    { "-TRYAGAIN Multiple keys request\r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
    { "-CLUSTERDOWN The cluster is down\r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
    { "+MOVED 1 a:1\r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
    { ":1\r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
    { "-\r\n", RLX_REDIS_STAYS, 0, NULL, 0 },
};

static void test_turns(void)
{
    size_t i;

    for (i = 0; i < sizeof(turns) / sizeof(turns[0]); ++i) {
        redisReply *reply = reply_of(turns[i].text, strlen(turns[i].text));
        rlx_redis_name_t name = { NULL, 0, 0 };
        unsigned int slot = 0;
        rlx_redis_turn_e turn = rlx_redis_turn_read(reply, &slot, &name);

        ok(turn == turns[i].turn
           && (turn == RLX_REDIS_STAYS
               || (slot == turns[i].slot && name.port == turns[i].port
                   && name.len == strlen(turns[i].host)
                   && !memcmp(name.host, turns[i].host, name.len))),
           "turn %d: %d to slot %u", (int)i, (int)turn, slot);
        freeReplyObject(reply);
    }
}

static void test_long_host(apr_pool_t *p)
{
    rlx_redis_name_t name;
    char *host = apr_palloc(p, 300);

    memset(host, 'a', 300);
    ok(rlx_redis_name_read(host, 253, 1, &name), "a long name");
    ok(!rlx_redis_name_read(host, 254, 1, &name), "a name that is too long");
    ok(!rlx_redis_name_read("a\0b", 3, 1, &name), "a NUL in a name");
}

/* --- sentinels ----------------------------------------------------------- */

static const struct {
    const char *text;
    /* What is wrong with it, or NULL. */
    const char *wrong;
} masters[] = {
    { "*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n", NULL },
    { "*2\r\n$5\r\nredis\r\n$1\r\n1\r\n", NULL },
    { "*-1\r\n", "knows no master" },
    { "$-1\r\n", "knows no master" },
    { "*1\r\n$9\r\n127.0.0.1\r\n", "no address and port" },
    { "*3\r\n$1\r\na\r\n$1\r\n1\r\n$1\r\n1\r\n", "no address and port" },
    { "+127.0.0.1:6379\r\n", "no address and port" },
    { "*2\r\n$0\r\n\r\n$4\r\n6379\r\n", "no address and port" },
    { "*2\r\n:1\r\n$4\r\n6379\r\n", "no address and port" },
    { "*2\r\n$1\r\na\r\n:6379\r\n", "no address and port" },
    { "*2\r\n$1\r\na\r\n$5\r\n65536\r\n", "no address and port" },
    { "*2\r\n$1\r\na\r\n$1\r\n0\r\n", "no address and port" },
    { "*2\r\n$1\r\na\r\n$0\r\n\r\n", "no address and port" },
    { "*2\r\n$1\r\na\r\n$6\r\n000001\r\n", "no address and port" },
    { "*2\r\n$1\r\na\r\n$2\r\n+1\r\n", "the port is no number" },
    { "*2\r\n$2\r\na/\r\n$1\r\n1\r\n", "no address and port" },
};

static void test_masters(void)
{
    size_t i;

    for (i = 0; i < sizeof(masters) / sizeof(masters[0]); ++i) {
        redisReply *reply = reply_of(masters[i].text,
                                     strlen(masters[i].text));
        rlx_redis_name_t name;
        const char *wrong = rlx_redis_master_read(reply, &name);

        ok(wrong ? masters[i].wrong && strstr(wrong, masters[i].wrong)
                 : !masters[i].wrong, "master %d: %s", (int)i,
           wrong ? wrong : "read");
        freeReplyObject(reply);
    }
}

/* --- counters by slot ---------------------------------------------------- */

/* The groups of a batch, as counters of "abc": letters are clients. */
static const char *groups_of(const char *clients,
                             rlx_redis_grouping_e grouping,
                             int *are_right, apr_pool_t *p)
{
    static rlx_redis_batch_t batch;
    static rlx_limit_t limits[RLX_STORAGE_BATCH_MAX];
    rlx_counter_t counters[RLX_STORAGE_BATCH_MAX];
    const char *text = "";
    int n = (int)strlen(clients), i, j;

    memset(counters, 0, sizeof(counters));
    rlx_redis_batch_init(&batch);
    for (i = 0; i < n; ++i) {
        limits[i].count = (uint32_t)i + 1;
        limits[i].window_usec = SEC;
        limits[i].burst = limits[i].count;
        snprintf(limits[i].text, sizeof(limits[i].text), "%d per 1 second",
                 i + 1);
        counters[i].limit = &limits[i];
        counters[i].scope = "p:s";
        counters[i].scope_len = 3;
        counters[i].key = clients + i;
        counters[i].key_len = 1;
        counters[i].key_is_public = 1;
        rlx_redis_batch_add(&batch, &counters[i], i, 0, p);
    }
    rlx_redis_batch_group(&batch, grouping);
    for (i = 0; i < batch.groups_n; ++i) {
        text = apr_pstrcat(p, text, i ? " " : "", NULL);
        for (j = 0; j < batch.groups[i].n; ++j) {
            text = apr_pstrcat(p, text, apr_pstrmemdup(
                p, batch.counters[batch.groups[i].from + j]->key, 1), NULL);
        }
    }
    *are_right = 1;
    for (i = 0; i < n; ++i) {
        *are_right = *are_right
                     && batch.counters[batch.which[i]] == &counters[i];
    }
    return text;
}

static void test_groups(apr_pool_t *p)
{
    static const struct {
        const char *clients;
        rlx_redis_grouping_e grouping;
        const char *groups;
    } cases[] = {
        { "abcab", RLX_REDIS_WHOLE, "abcab" },
        { "abcab", RLX_REDIS_BY_SLOT, "aa bb c" },
        { "abbac", RLX_REDIS_BY_RUN, "a bb a c" },
        { "aab", RLX_REDIS_SINGLY, "a a b" },
        { "aaa", RLX_REDIS_BY_SLOT, "aaa" },
        { "", RLX_REDIS_BY_SLOT, "" },
    };
    size_t i;
    int are_right;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); ++i) {
        is_str(groups_of(cases[i].clients, cases[i].grouping, &are_right, p),
               cases[i].groups, cases[i].clients);
        ok(are_right, "  each is found again");
    }
}

int main(void)
{
    apr_pool_t *p;

    apr_initialize();
    apr_pool_create(&p, NULL);
    test_slots_of_keys();
    test_maps();
    test_map();
    test_many_servers(p);
    test_turns();
    test_long_host(p);
    test_masters();
    test_groups(p);
    apr_pool_destroy(p);
    apr_terminate();
    return tap_done();
}
