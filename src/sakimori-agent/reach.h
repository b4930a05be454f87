/*
 * How far the restore of one order reaches, where a folder is to be left out (--skip, the box's data): what it needs in
 * the folders above that one is settled here, before it confines itself.
 *
 * What stands beside the path to the left-out folder may be written anyway.  For the rest: a folder to be restored that is
 * not there, in a folder above, is made here, empty.  A folder above that is itself restored, or a file directly in one,
 * needs the right to make, move and remove names there, which Landlock gives for all below as well, the left-out folder
 * included (never to read or write them); and files must be written elsewhere and moved there: the working folder.
 */
#ifndef AGENT_REACH_H
#define AGENT_REACH_H
#include "plat/sandbox.h"
#include "sakimori-agent/orders.h"
#include "vault/restore/restore.h"

#define REACH_LEVELS_MAX 16
struct reach {
    char out[PLAT_PATH_MAX]; /* the folder left out, "" = none */
    char level[REACH_LEVELS_MAX][PLAT_PATH_MAX];
    size_t level_n;
    char work_path[PLAT_PATH_MAX + RESTORE_WORK_NAME];
    int work;                /* for struct restore_config */
    char refused[PLAT_PATH_MAX]; /* with -SM_EDENIED: the target that lies in the folder left out */
};
/*
 * From the order of a restore: its targets, or for a whole generation at its original place its "roots".  skip NULL:
 * nothing is left out.  ret is initialised here and always wiped.  -SM_EDENIED a target lies in the folder left out,
 * -SM_EINVAL no absolute path, -SM_EFORMAT, -SM_ELIMIT, -errno.
 */
sm_must_use int reach_take(const struct order *o, const char *skip, struct reach *ret);
/* Make the working folder, if one is needed, and confine this process.  notes: the folder of restore_config.state_dir.  Of
 * plat_sandbox_landlock_but; too many neighbours are said in c, and nothing is confined. */
sm_must_use int reach_confine(struct reach *r, const char *notes, const uint8_t id[16], struct plat_confined *c);
/* Remove the working folder. */
void reach_wipe(struct reach *r);
#endif
