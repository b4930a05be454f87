/* How people get in from afar: settings of the SSH server, and what PAM asks of them. */
#include "sakimori-agent/inspect/inspect.h"

static const char *const folders[] = {"etc/ssh", "etc/ssh/sshd_config.d", "etc/pam.d", NULL};

static void look(const struct inspect_look *l, struct items *to)
{
    inspect_file(l, "etc/ssh/sshd_config", true, to);
    inspect_folder(l, "etc/ssh/sshd_config.d", 0, true, NULL, to);
    inspect_folder(l, "etc/pam.d", 0, true, NULL, to);
}

const struct inspect_sensor inspect_sshd = {.name = "sshd",
    .added = "sshd_changed",
    .changed = "sshd_changed",
    .removed = "sshd_changed",
    .key = "TargetFilename",
    .folders = folders,
    .every_s = 300,
    .look = look};
