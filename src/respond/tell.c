/* Telling: mail, web hook, syslog, a task on Today. */
#include "respond/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int made(json_t **ret, json_t *plan)
{
    *ret = plan;
    return plan ? 0 : -ENOMEM;
}

static const struct respond_param mail_params[] = {
    { "to", true, NULL, "宛先(,で区切る)", "addresses, separated by commas" },
    { "text", false, NULL, "添える文", "words to add" },
    { NULL, false, NULL, NULL, NULL },
};

static int plan_mail(const json_t *params, const json_t *incident, json_t **ret, char *ret_why)
{
    char all[1001], *save = NULL;
    json_t *to = json_array();

    (void)incident;
    snprintf(all, sizeof all, "%s", respond_text(params, "to"));
    for (char *one = strtok_r(all, ", ", &save); one; one = strtok_r(NULL, ", ", &save))
        if (json_array_append_new(to, json_string(one)) < 0)
            return -ENOMEM;
    if (json_array_size(to) == 0 || json_array_size(to) > 20) {
        json_decref(to);
        snprintf(ret_why, RESPOND_WHY, "to: 1 to 20 addresses");
        return -SM_EINVAL;
    }
    return made(ret, json_pack("{s:s,s:s,s:s,s:o,s:s}", "effect", "mail", "ja", "メールで知らせます", "en", "Tells by mail", "to", to, "words",
        respond_text(params, "text")));
}

const struct respond_action respond_mail = { "mail", "メールで知らせる", "tell by mail", mail_params, false, plan_mail };

static const struct respond_param hook_params[] = { { "url", true, NULL, "アドレス(https)", "address (https)" }, { NULL, false, NULL, NULL, NULL } };

static int plan_webhook(const json_t *params, const json_t *incident, json_t **ret, char *ret_why)
{
    const char *url = respond_text(params, "url");

    (void)incident;
    if (strncmp(url, "https://", 8) != 0) {
        snprintf(ret_why, RESPOND_WHY, "url: must begin with https://");
        return -SM_EINVAL;
    }
    return made(ret, json_pack("{s:s,s:s,s:s,s:s}", "effect", "webhook", "ja", "ほかの仕組みに送ります", "en", "Sends it to another system", "url", url));
}

const struct respond_action respond_webhook = { "webhook", "ほかの仕組みに送る", "send to another system", hook_params, false, plan_webhook };

static const struct respond_param syslog_params[] = {
    { "server", true, NULL, "院内の記録サーバーのIPv4アドレス", "IPv4 address of a log server inside" },
    { "port", false, NULL, "ポート番号(なければ 514)", "port (514 if none)" },
    { NULL, false, NULL, NULL, NULL },
};

/* In clear text: only where the institution's own wire is. */
static bool inside(const char *text)
{
    struct in_addr in;
    uint32_t a = inet_pton(AF_INET, text, &in) == 1 ? ntohl(in.s_addr) : 0;

    return a >> 24 == 10 || a >> 24 == 127 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8;
}

static int plan_syslog(const json_t *params, const json_t *incident, json_t **ret, char *ret_why)
{
    const char *server = respond_text(params, "server"), *given = respond_text(params, "port");
    char *end = NULL;
    long port = *given ? strtol(given, &end, 10) : 514;

    (void)incident;
    if (!inside(server)) {
        snprintf(ret_why, RESPOND_WHY, "server: an IPv4 address of the inside");
        return -SM_EINVAL;
    }
    if ((end && *end) || port < 1 || port > 65535) {
        snprintf(ret_why, RESPOND_WHY, "port: 1 to 65535");
        return -SM_EINVAL;
    }
    return made(ret, json_pack("{s:s,s:o,s:o,s:s,s:I}", "effect", "syslog", "ja", json_sprintf("%s へ syslog で知らせます", server), "en",
        json_sprintf("Tells %s by syslog", server), "server", server, "port", (json_int_t)port));
}

const struct respond_action respond_syslog = { "syslog", "syslog で知らせる", "tell by syslog", syslog_params, false, plan_syslog };

static const struct respond_param task_params[] = { { "text", true, NULL, "すること", "what to do" }, { NULL, false, NULL, NULL, NULL } };

static int plan_task(const json_t *params, const json_t *incident, json_t **ret, char *ret_why)
{
    const char *text = respond_text(params, "text");

    (void)incident;
    (void)ret_why;
    return made(ret, json_pack("{s:s,s:o,s:o,s:s}", "effect", "task", "ja", json_sprintf("すること: %s", text), "en", json_sprintf("To do: %s", text),
        "text", text));
}

const struct respond_action respond_task = { "task", "することを加える", "add a thing to do", task_params, false, plan_task };
