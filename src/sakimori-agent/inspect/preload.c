/* Libraries that are put into every program. */
#include "sakimori-agent/inspect/inspect.h"

static const char *const folders[] = {"etc", NULL};

static void look(const struct inspect_look *l, struct items *to)
{
    inspect_file(l, "etc/ld.so.preload", true, to);
    inspect_file(l, "etc/environment", true, to);
}

const struct inspect_sensor inspect_preload = {.name = "preload",
    .added = "preload_changed",
    .changed = "preload_changed",
    .removed = "preload_changed",
    .key = "TargetFilename",
    .folders = folders,
    .every_s = 300,
    .look = look};
