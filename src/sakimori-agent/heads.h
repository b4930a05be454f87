/*
 * The last signed head of the box's journal that this device has seen, and whether a new one goes on from it
 * (FORMAT-vault.md section 6).  A box that was rolled back, or that shows two histories, is noticed here.
 */
#ifndef AGENT_HEADS_H
#define AGENT_HEADS_H
#include "sakimori-agent/agent.h"
#include "vault/store/journal.h"

struct heads {
    char path[AGENT_PATH_MAX + 32];
    uint8_t head_pub[32];
    struct vault_id vault;
    struct journal_head last; /* seq 0: none yet */
    bool alarm;               /* something did not fit */
    char why[160];
};
/* Read the file; a missing one is no error.  -SM_EAUTH when it was altered, -errno. */
sm_must_use int heads_open(struct heads *h, const char *path, const uint8_t head_pub[32], const struct vault_id *vault);
/* Take a new signed head (hex) that came with an acknowledgement of our own request: its signature and vault must be
 * right and it must not be older.  Kept, not yet saved.  -SM_EAUTH, -SM_EFORMAT; -SM_EMISMATCH: older or another
 * history (alarm is set). */
sm_must_use int heads_take(struct heads *h, const char *hex);
/* The same for an answer that others may have overtaken: it must not be older than the head known when it was asked for. */
sm_must_use int heads_take_late(struct heads *h, const char *hex, uint64_t asked_seq);
/* At the start of a run: prove that the head shown now goes on from the last one, with the records in between fetched
 * through link, a bounded part at a time. A box that gives no part (also "too long") raises the alarm. Errors as heads_take;
 * -SM_EPEER when the box could not be asked. */
sm_must_use int heads_prove(struct heads *h, const char *hex, struct sm_ipc *link);
/* The box took over from a copy that ended with `from`, which an order of the sheet says: the head shown now must go on from
 * there.  Then it is the last one, whatever was seen before.  Errors as heads_prove. */
sm_must_use int heads_follow(struct heads *h, const struct journal_head *from, const char *hex, struct sm_ipc *link);
sm_must_use int heads_save(const struct heads *h);
#endif
