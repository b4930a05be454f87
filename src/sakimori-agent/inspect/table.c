/* The sensors: a row and a file each. */
#include "sakimori-agent/inspect/inspect.h"

const struct inspect_sensor *const inspect_sensors[] = {&inspect_modules, &inspect_services, &inspect_cron,
    &inspect_accounts, &inspect_groups, &inspect_passwords, &inspect_sudoers, &inspect_sshkeys, &inspect_sshd,
    &inspect_preload, &inspect_sysctl, &inspect_setuid, &inspect_setuid_rest, &inspect_ports, &inspect_media, NULL};
