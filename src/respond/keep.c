/* The vault: hold the old backups of the machines concerned, or save what is still good. */
#include "respond/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const struct respond_param none[] = { { NULL, false, NULL, NULL, NULL } };

enum { NAMED = 5 }; /* so many names stand in the sentence; the rest is counted */

/* All machines of the incident: whoever is in one of them is on the way to the next. */
int respond_on_hosts(const char *effect, const char *ja, const char *en, const json_t *incident, json_t **ret, char *ret_why)
{
    json_t *hosts = json_array(), *row;
    char names[NAMED * 64] = "", more_ja[32] = "", more_en[32] = "";
    size_t i, used = 0;

    json_array_foreach(json_object_get(incident, "entities"), i, row) {
        const char *kind = json_string_value(json_array_get(row, 0)), *text = json_string_value(json_array_get(row, 1));
        if (!kind || !text || !*text || strcmp(kind, "host") != 0)
            continue;
        if (json_array_size(hosts) < NAMED)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%.60s", used ? ", " : "", text); /* 62 bytes at most each */
        json_array_append(hosts, json_array_get(row, 1));
    }
    size_t n = json_array_size(hosts);
    if (!n) {
        json_decref(hosts);
        snprintf(ret_why, RESPOND_WHY, "no machine of this box in this incident");
        return -SM_ENOTFOUND;
    }
    if (n > NAMED) {
        snprintf(more_ja, sizeof more_ja, " ほか%zu台", n - NAMED);
        snprintf(more_en, sizeof more_en, " and %zu more", n - NAMED);
    }
    *ret = json_pack("{s:s,s:o,s:o,s:o}", "effect", effect, "ja", json_sprintf("%s%s の%s", names, more_ja, ja), "en",
        json_sprintf("%s %s%s", en, names, more_en), "hosts", hosts);
    return *ret ? 0 : -ENOMEM;
}

static int plan_freeze(const json_t *params, const json_t *incident, json_t **ret, char *ret_why)
{
    (void)params;
    return respond_on_hosts("freeze", "古い保存を、消えないように止めます", "Holds the older backups of", incident, ret, ret_why);
}

static int plan_backup(const json_t *params, const json_t *incident, json_t **ret, char *ret_why)
{
    (void)params;
    return respond_on_hosts("backup", "保存を、いま始めます", "Begins a backup now of", incident, ret, ret_why);
}

const struct respond_action respond_freeze = { "freeze-vault", "古い保存を消えないように止める", "hold older backups", none, true, plan_freeze };
const struct respond_action respond_backup = { "backup-now", "いますぐ保存する", "back up now", none, false, plan_backup };
