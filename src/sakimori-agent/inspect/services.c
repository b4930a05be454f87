/* What is started by itself: units and timers of systemd, what is enabled of them, start scripts of before. */
#include "sakimori-agent/inspect/inspect.h"

#include <string.h>

static const char *const folders[] = {"etc/systemd/system", "etc/systemd/user", "usr/lib/systemd/system",
    "usr/lib/systemd/user", "usr/local/lib/systemd/system", "etc/init.d", "etc/systemd/system-generators",
    "etc/xdg/autostart", NULL};

/* Not what comes and goes with each mount, slice or scope. */
static bool is_unit(const char *name)
{
    static const char *const other[] = {
        ".mount", ".automount", ".swap", ".slice", ".scope", ".device", ".target", ".dpkg-new", ".dpkg-tmp", "~"};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        if (n >= strlen(other[i]) && strcmp(name + n - strlen(other[i]), other[i]) == 0)
            return false;
    return true;
}

static void look(const struct inspect_look *l, struct items *to)
{
    for (size_t i = 0; folders[i]; i++)
        inspect_folder(l, folders[i], 1, true, is_unit, to);
    inspect_file(l, "etc/rc.local", true, to);
}

const struct inspect_sensor inspect_services = {.name = "services",
    .added = "service_changed",
    .changed = "service_changed",
    .removed = "service_changed",
    .key = "TargetFilename",
    .folders = folders,
    .every_s = 300,
    .look = look};
