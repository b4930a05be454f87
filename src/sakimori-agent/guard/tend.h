/*
 * How a part stands, looked at every second or two by the supervisor: stopped, traced, frozen, silent.  What can be undone is undone (SIGCONT, thaw); a
 * part that is traced, and a sensor that goes on standing, is to be ended: with its end the kernel answers what waits for it.
 */
#ifndef GUARD_TEND_H
#define GUARD_TEND_H
#include <sys/types.h>
#include "sakimori-agent/guard/notes.h"

enum {
    TEND_LOOK_MS = 1000,
    TEND_STAND_MS = 3000,   /* a sensor without a beat for so long is continued, */
    TEND_END_MS = 4000,     /* and ended */
    TEND_STOPS_MAX = 5,     /* looks in a row that found it stopped again: ended */
};

struct tend {
    uint64_t beat_ms;       /* 0: it says nothing of itself */
    unsigned stops, looks, eyes, fewer;
    bool traced, frozen, ended; /* ended: by us */
    bool eyed;
};
struct tend_at {
    const char *part;
    pid_t pid;
    uint64_t now_ms;
    bool deciding;          /* others wait for its answers: the sensor */
};
/* It was born, or it beat. */
void tend_born(struct tend *t);
void tend_beat(struct tend *t, uint64_t now_ms);
/* Since its last beat; 0: it does not beat. */
uint64_t tend_age(const struct tend *t, uint64_t now_ms);
/* True: end it (SIGKILL). */
bool tend_look(struct tend *t, const struct tend_at *at, struct notes *notes);
/* It ended with this status of waitpid(2), though nobody of us asked it to; failing: it does so again and again. */
void tend_died(struct tend *t, const char *part, int status, bool failing, struct notes *notes);
#endif
