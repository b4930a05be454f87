/* Telling: mail, web hook, a task on Today. */
#include "respond/internal.h"

#include <errno.h>
#include <stdio.h>
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
