/* The vault: hold the old backups of the machines concerned, or save what is still good. */
#include "respond/internal.h"

#include <errno.h>
#include <stdio.h>

static const struct respond_param none[] = { { NULL, false, NULL, NULL, NULL } };

static bool any(const char *text)
{
    return *text != 0;
}

static int on_host(const char *effect, const char *ja, const char *en, const json_t *incident, json_t **ret, char *ret_why)
{
    const char *host = respond_entity(incident, "host", any);

    if (!host) {
        snprintf(ret_why, RESPOND_WHY, "no machine in this incident");
        return -SM_ENOTFOUND;
    }
    *ret = json_pack("{s:s,s:o,s:o,s:s}", "effect", effect, "ja", json_sprintf("%s の%s", host, ja), "en", json_sprintf("%s %s", en, host), "host", host);
    return *ret ? 0 : -ENOMEM;
}

static int plan_freeze(const json_t *params, const json_t *incident, json_t **ret, char *ret_why)
{
    (void)params;
    return on_host("freeze", "古い保存を、消えないように止めます", "Holds the older backups of", incident, ret, ret_why);
}

static int plan_backup(const json_t *params, const json_t *incident, json_t **ret, char *ret_why)
{
    (void)params;
    return on_host("backup", "保存を、いま始めます", "Begins a backup now of", incident, ret, ret_why);
}

const struct respond_action respond_freeze = { "freeze-vault", "古い保存を消えないように止める", "hold older backups", none, true, plan_freeze };
const struct respond_action respond_backup = { "backup-now", "いますぐ保存する", "back up now", none, false, plan_backup };
