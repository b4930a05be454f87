/*
 * For whom this machine wraps: the set and the *orders* key that its join code pinned, and from there along the changes
 * that were signed by the key before each (FORMAT-vault.md section 11).  What the box says is believed for nothing else.
 */
#ifndef AGENT_RECIPS_H
#define AGENT_RECIPS_H
#include "sakimori-agent/agent.h"
#include "vault/store/statement.h"

struct recips {
    char path[AGENT_PATH_MAX + 32];
    struct vault_id vault;
    struct recipients_state s;
    bool can;         /* the join code pinned an orders key */
    bool alarm;
    char why[200];    /* English */
    json_t *chain;    /* what was believed so far: [{"order","sig"}] */
};
/* From what is pinned along what was believed before (the file at path; one that does not follow counts for nothing).
 * -SM_ELIMIT (the pinned set is of algorithms that cannot change), -ENOMEM. */
sm_must_use int recips_open(struct recips *f, const struct agent_config *c, const char *path);
void recips_wipe(struct recips *f);
/*
 * What the box shows, oldest first.  0 also when something was refused: then f->alarm and f->why say what, and the set is
 * the last one that was good.  -errno when what was believed could not be kept (then it is not used either).
 */
sm_must_use int recips_take(struct recips *f, const json_t *changes);
#endif
