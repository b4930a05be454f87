/* What is done at certain times: cron, anacron, at. */
#include "sakimori-agent/inspect/inspect.h"

#include <string.h>

static const char *const folders[] = {"etc/cron.d", "etc/cron.hourly", "etc/cron.daily", "etc/cron.weekly",
    "etc/cron.monthly", "var/spool/cron", "var/spool/cron/crontabs", "var/spool/cron/atjobs", NULL};

/* crontab(1) writes to tmp.XXXXXX first. */
static bool is_job(const char *name)
{
    return strncmp(name, "tmp.", 4) != 0 && name[0] != '.';
}

static void look(const struct inspect_look *l, struct items *to)
{
    for (size_t i = 0; folders[i]; i++)
        inspect_folder(l, folders[i], 0, true, is_job, to);
    inspect_file(l, "etc/crontab", true, to);
    inspect_file(l, "etc/anacrontab", true, to);
}

const struct inspect_sensor inspect_cron = {.name = "cron",
    .added = "cron_changed",
    .changed = "cron_changed",
    .removed = "cron_changed",
    .key = "TargetFilename",
    .folders = folders,
    .every_s = 300,
    .look = look};
