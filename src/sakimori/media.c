/* endpoint media: removable media of the machines, and which are allowed; endpoint uninstall: the agent may go. */
#include "sakimori/commands.h"

int cmd_media_list(struct cli *c)
{
    static const struct cli_col cols[] = { { "serial", CLI_TEXT, "シリアル番号", "Serial" }, { "name", CLI_TEXT, "名前", "Name" },
        { "kind", CLI_TEXT, "種類", "Kind" }, { "bytes", CLI_BYTES, "大きさ", "Size" }, { "device_name", CLI_TEXT, "機器", "Machine" },
        { "attached", CLI_YES, "ささっている", "Attached" }, { "mode", CLI_TEXT, "あつかい", "Treated as" }, { "allowed", CLI_YES, "許可", "Allowed" },
        { "last", CLI_TIME, "最後", "Last" } };
    return cli_list(c, "/api/v1/media", cols, sizeof cols / sizeof *cols);
}

/* The serial, for all machines or for the one of --device. */
static int change(struct cli *c, const char *path)
{
    json_t *d = NULL, *answer = NULL, *o = json_pack("{s:s}", "serial", cli_arg(c, 0));
    const char *device = cli_opt(c, "device");
    int e = o ? CLI_OK : CLI_USAGE;
    if (e == CLI_OK && device)
        e = cli_find(c, "/api/v1/devices", device, &d);
    if (e == CLI_OK && d)
        (void)!json_object_set_new(o, "device", json_string(cli_str(d, "id"))); /* without memory the box says what is missing */
    if (e == CLI_OK) {
        e = cli_call(c, "POST", path, o, &answer);
        o = NULL;
    }
    if (e == CLI_OK && c->json)
        cli_json(answer);
    json_decref(o);
    json_decref(d);
    json_decref(answer);
    return e;
}

int cmd_media_allow(struct cli *c)
{
    return change(c, "/api/v1/media/allow");
}

int cmd_media_deny(struct cli *c)
{
    return change(c, "/api/v1/media/deny");
}

int cmd_endpoint_uninstall(struct cli *c)
{
    json_t *d = NULL, *answer = NULL;
    char path[256];
    int e = cli_find(c, "/api/v1/devices", cli_arg(c, 0), &d);
    (void)snprintf(path, sizeof path, "/api/v1/devices/%s/actions", cli_str(d, "id")); /* ids are short */
    json_decref(d);
    if (e == CLI_OK)
        e = cli_call(c, "POST", path, json_pack("{s:s}", "action", "uninstall"), &answer);
    if (e == CLI_OK && c->json)
        cli_json(answer);
    else if (e == CLI_OK)
        cli_note(c, T(c, "許しました。1時間のうちに、その機器で apt remove sakimori-agent をしてください。",
            "allowed; within the hour run apt remove sakimori-agent on that machine"));
    json_decref(answer);
    return e;
}
