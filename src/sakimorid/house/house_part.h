/* What the two files of this process share: house.c (questions, settings, the loop), follow.c (the thread that brings
 * blocks). */
#ifndef SAKIMORID_HOUSE_PART_H
#define SAKIMORID_HOUSE_PART_H
#include "journal/house.h"
#include "sakimorid/seeker/seeker.h"

/* What is known of the servers and of how far they are.  Times are of the wall, 0 never. */
struct follow_state {
    bool there;                      /* the last thing asked of them was answered */
    char reason[16], why[HOUSE_WHY]; /* of the last failure, "" when there */
    uint64_t blocks, events;         /* of this record, that they have */
    uint64_t waiting;                /* events in closed blocks that they have not */
    uint64_t odd, odd_first;         /* blocks with a wrong number of rows */
    uint64_t damaged;                /* blocks of the box that could not be read */
    int64_t brought_s, since_s;      /* when the last block was brought; since when it is as `there` says */
};

struct follow;
/* The thread begins; dir is the record.  -ENOMEM, -errno. */
sm_must_use int follow_new(const char *dir, struct follow **ret);
/* Ends what is under way, and the thread. */
void follow_free(struct follow *f);
/* Other servers, or other tables on them. */
void follow_conf(struct follow *f, const struct house_conf *conf);
/* Look again now: tables were made. */
void follow_again(struct follow *f);
/* A question failed: see whether they are there. */
void follow_look(struct follow *f);
void follow_state(struct follow *f, struct follow_state *ret);
/*
 * For a search: what is there (a copy: house_set_wipe), which block may be half there, and nothing more is brought
 * until follow_go_on.  false: nothing is known of it yet, or they were away a moment ago.
 */
bool follow_hold(struct follow *f, struct house_set *ret, uint64_t *ret_not_block);
void follow_go_on(struct follow *f);
#endif
