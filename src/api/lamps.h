/*
 * The rule 3-2-1-1-0 as five lamps, worked out from facts alone: three copies of the data, on two kinds of media, one
 * of them elsewhere, one that nobody can reach over the network, no error at the last look.  Pure: no clock, no database.
 */
#ifndef API_LAMPS_H
#define API_LAMPS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "api/text.h"

/* One copy of the vault outside of it. */
struct lamp_copy {
    const char *name;
    bool detachable;       /* a disk that is pulled out */
    bool append_only;      /* on a far side that takes but never gives up: another box, a locked bucket */
    bool elsewhere;        /* a person said that it is kept in another building */
    bool same_disk;        /* lies on the very file system of the vault */
    bool attached;         /* plugged in now (detachable) */
    bool complete;         /* was complete at least once */
    int64_t covers_s;      /* it holds everything up to this moment */
    int64_t max_age_s;     /* how old it may become while there is something newer */
    int64_t verified_s;    /* all of it was read again, 0 = never */
    bool sound;            /* and was in order */
};
struct lamp_facts {
    int64_t now;
    uint64_t generations;          /* in the vault */
    int64_t newest_s;              /* of them */
    int64_t checked_s;             /* last verify of the vault, 0 = never */
    bool sound;                    /* its result, and no damage known since */
    bool drill_failed;             /* the last restore drill did not bring everything back */
    const struct lamp_copy *copies; size_t n;
};
enum lamp_state { LAMP_ON, LAMP_LOOK, LAMP_OFF };
enum lamp_id { LAMP_COPIES, LAMP_MEDIA, LAMP_ELSEWHERE, LAMP_OFFLINE, LAMP_ERRORS, LAMPS };
struct lamp {
    enum lamp_state state;
    enum text_key why, todo;       /* todo means nothing when it is on */
    const char *name;              /* of the copy it speaks of ({0}), "" for none; borrowed from the facts */
};
#define LAMP_CHECK_MAX_S ((int64_t)35 * 86400)   /* a verify of the vault counts so long */
#define LAMP_VERIFY_MAX_S ((int64_t)100 * 86400) /* of a copy */
void lamps_compute(const struct lamp_facts *f, struct lamp ret[LAMPS]);
/* Up to date: nothing newer is missing, or not for too long. */
bool lamp_current(const struct lamp_facts *f, const struct lamp_copy *c);
extern const char *const lamp_state_names[];       /* "on", "look", "off" */
extern const struct lamp_word { const char *id, *number; enum text_key title; } lamp_words[LAMPS];
#endif
