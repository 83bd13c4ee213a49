/* Licensed under the Apache License, Version 2.0; see LICENSE. */

/*
 * For the bench alone: what one round trip to Redis costs httpd. Each request
 * sends one fixed command by hiredis, on a connection of its thread, waits for
 * the reply and throws it away. No time limit, no pool, no limit that is kept.
 *
 *     BareRedis 127.0.0.1:6379                  or the path of a socket
 *     BareCommand EVALSHA SHA1 1 key 60000
 */

#include <hiredis/hiredis.h>

#include "httpd.h"
#include "http_config.h"
#include "http_log.h"
#include "apr_strings.h"

module AP_MODULE_DECLARE_DATA bare_evalsha_module;

static const char *place;
static int port;
static int command_n;
static const char **command;
static size_t *command_len;

static __thread redisContext *connection;

static redisContext *connect_it(void)
{
    return port ? redisConnect(place, port) : redisConnectUnix(place);
}

static int ask(request_rec *r)
{
    redisReply *reply = NULL;

    if (!place || r->main) {
        return DECLINED;
    }
    if (!connection) {
        connection = connect_it();
    }
    if (connection && !connection->err) {
        reply = redisCommandArgv(connection, command_n, command, command_len);
    }
    if (!reply || reply->type == REDIS_REPLY_ERROR) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "bare: %s",
                      reply ? reply->str : "no reply");
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    freeReplyObject(reply);
    return DECLINED;
}

static const char *set_redis(cmd_parms *cmd, void *dir, const char *text)
{
    const char *colon = ap_strrchr_c(text, ':');

    port = *text != '/' && colon ? atoi(colon + 1) : 0;
    place = port ? apr_pstrmemdup(cmd->pool, text, colon - text) : text;
    return NULL;
}

static const char *set_command(cmd_parms *cmd, void *dir, int argc,
                               char *const argv[])
{
    command_n = argc;
    command = apr_palloc(cmd->pool, sizeof(*command) * (apr_size_t)argc);
    command_len = apr_palloc(cmd->pool,
                             sizeof(*command_len) * (apr_size_t)argc);
    for (int i = 0; i < argc; i++) {
        command[i] = apr_pstrdup(cmd->pool, argv[i]);
        command_len[i] = strlen(argv[i]);
    }
    return NULL;
}

static const command_rec commands[] = {
    AP_INIT_TAKE1("BareRedis", set_redis, NULL, RSRC_CONF, "where"),
    AP_INIT_TAKE_ARGV("BareCommand", set_command, NULL, RSRC_CONF, "what"),
    { NULL }
};

static void register_hooks(apr_pool_t *p)
{
    ap_hook_fixups(ask, NULL, NULL, APR_HOOK_LAST);
}

module AP_MODULE_DECLARE_DATA bare_evalsha_module = {
    STANDARD20_MODULE_STUFF,
    .cmds = commands,
    .register_hooks = register_hooks
};
