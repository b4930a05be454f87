/* What the part "proof" does apart from being born and speaking: tests use it. */
#ifndef AGENT_PROOF_H
#define AGENT_PROOF_H
#include "sakimori-agent/kinds/trial.h"

#define PROOF_LIMIT_S 7200u
/* Make folder outer (0711 ours) and outer/PROOF_IN_IT (0700, uid's), and move the folder `from` into it as "in", with every
 * regular file and folder of it uid's.  Devices, links and sockets stay whose they are.  *ret_bytes: of its files.
 * -SM_EDENIED outer is there already, -ENOENT no such folder, -SM_ELIMIT too deep, -errno. */
sm_must_use int proof_take(const char *outer, const char *from, uid_t uid, gid_t gid, uint64_t *ret_bytes);
/* Who tries a database, when who started the agent is self: a user of its own, never self.  NULL, or what is in the way
 * ("user"): without root there is none. */
const char *proof_who(uid_t self, const char **ret_user, uid_t *ret_uid, gid_t *ret_gid);
/* Is there room for a database of these dumps, times as large, beside what must stay free? */
bool proof_room(const char *path, uint64_t bytes, unsigned times);
#endif
