/* devices: the machines that are protected. */
#include "sakimori/commands.h"

int cmd_devices_list(struct cli *c)
{
    static const struct cli_col cols[] = { { "id", CLI_SHORT, "番号", "Id" }, { "name", CLI_TEXT, "名前", "Name" },
        { "hostname", CLI_TEXT, "ホスト名", "Host" }, { "state", CLI_WORD, "状態", "State" },
        { "last_seen", CLI_TIME, "最後の応答", "Last seen" }, { "agent_version", CLI_TEXT, "版", "Version" },
        { "cert_until", CLI_TIME, "証明書の期限", "Certificate until" } };
    return cli_list(c, "/api/v1/devices", cols, sizeof cols / sizeof *cols);
}

int cmd_devices_code(struct cli *c)
{
    int64_t days = cli_number(c, "days", 1, 3650);
    if (days == -2)
        return CLI_USAGE;
    json_t *o = json_pack("{s:s}", "name", cli_arg(c, 0)), *answer = NULL;
    if (o && days > 0)
        json_object_set_new(o, "days", json_integer(days));
    int e = o ? cli_call(c, "POST", "/api/v1/devices/codes", o, &answer) : CLI_USAGE;
    if (e == CLI_OK && c->json) {
        cli_json(answer);
    } else if (e == CLI_OK) {
        printf("%s\n", cli_str(answer, "code"));
        cli_note(c, T(c, "15分以内に、新しい機器でこの命令を: %s", "within 15 minutes, on the new machine: %s"),
            cli_str(answer, "command"));
    }
    json_decref(answer);
    return e;
}

static int change(struct cli *c, const char *method, json_t *body)
{
    json_t *d = NULL;
    char path[256];
    int e = cli_find(c, "/api/v1/devices", cli_arg(c, 0), &d);
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s", cli_str(d, "id")); /* ids are short */
    json_decref(d);
    if (e == CLI_OK)
        return cli_call(c, method, path, body, NULL);
    json_decref(body);
    return e;
}

int cmd_devices_rename(struct cli *c)
{
    return change(c, "PATCH", json_pack("{s:s}", "name", cli_arg(c, 1)));
}

int cmd_devices_revoke(struct cli *c)
{
    const char *why = cli_opt(c, "why");
    return change(c, "DELETE", why ? json_pack("{s:s}", "reason", why) : NULL);
}
