/*
 * Following a box that took over (docs/FORMAT-vault.md section 13, PROTOCOL-agent.md).  The box's record may then end
 * before the last head seen here.  What makes that believable is an order signed with the recovery sheet, by the key that
 * this device kept from its first signed order on; each such order counts once.
 */
#ifndef AGENT_FOLLOW_H
#define AGENT_FOLLOW_H
#include "core/json.h"
#include "sakimori-agent/heads.h"

/* Keep the sheet's *orders* public key (64 hex) in the folder of caches, unless one is kept already. */
void follow_pin(int cache, const char *hex);
/* The one that holds now, proven by the join code and the changes of recipients since: it takes the place of any other, and
 * a sheet that was replaced explains nothing any more. */
void follow_trust(int cache, const uint8_t key[32]);
/*
 * The box shows head and a take-over {"order","sig"}.  proven: it goes on from what was seen here before; then the order is
 * only noted as used.  1: the order explains it, the heads go on from there (h->last), and what the caches believe of the
 * vault must go.  0: nothing of this; heads stay as they are.
 */
int follow_takeover(struct heads *h, int cache, const json_t *takeover, const char *head, bool proven, struct sm_ipc *link);
/* Forget what the box is believed to hold: every source is read anew, and asked about before anything is sent. */
void follow_forget(int cache);

/* `sakimori-agent move URL`: the same box (by its CA and vault) at another address.  ret_why has 256 bytes. */
sm_must_use int follow_move(const char *data, const char *url, char *ret_why);
#endif
