/* Is this machine one that is switched off and carried about, or one that always runs? */
#ifndef GUARD_MACHINE_H
#define GUARD_MACHINE_H

/*
 * "portable" (its case is a laptop's, or it has a battery of its own), "desktop" (its case is, and people sign in at its screen), "server"
 * (everything else, virtual machines too).  root: NULL for /, else a folder in its place (tests).  Source of the numbers: SMBIOS 3.7,
 * 7.4.1 (chassis types), as /sys/class/dmi/id/chassis_type shows them.
 */
const char *machine_kind(const char *root);
#endif
