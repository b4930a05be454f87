/* Who may become root by a word: sudo, doas, polkit's rules. */
#include "sakimori-agent/inspect/inspect.h"

static const char *const folders[] = {"etc/sudoers.d", "etc", "etc/polkit-1/rules.d", NULL};

static void look(const struct inspect_look *l, struct items *to)
{
    inspect_file(l, "etc/sudoers", true, to);
    inspect_file(l, "etc/doas.conf", true, to);
    inspect_folder(l, "etc/sudoers.d", 0, true, NULL, to);
    inspect_folder(l, "etc/polkit-1/rules.d", 0, true, NULL, to);
}

const struct inspect_sensor inspect_sudoers = {.name = "sudoers",
    .added = "sudoers_changed",
    .changed = "sudoers_changed",
    .removed = "sudoers_changed",
    .key = "TargetFilename",
    .folders = folders,
    .every_s = 300,
    .look = look};
