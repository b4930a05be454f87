#include "sakimori-agent/guard/tend.h"

#include <limits.h>
#include <signal.h>
#include <sys/wait.h>

#include "plat/life.h"
#include "plat/proc.h"

#define FROZEN_EVERY 3u /* looks */
#define EYES_AFTER 15u  /* a sensor has opened what it opens by then */
#define EYES_EVERY 3u

void tend_born(struct tend *t)
{
    *t = (struct tend){0};
}

void tend_beat(struct tend *t, uint64_t now_ms)
{
    t->beat_ms = now_ms;
}

uint64_t tend_age(const struct tend *t, uint64_t now_ms)
{
    return t->beat_ms && now_ms > t->beat_ms ? now_ms - t->beat_ms : 0;
}

static bool look_traced(struct tend *t, const struct tend_at *at, pid_t tracer, struct notes *notes)
{
    char text[NOTE_DETAIL_MAX], exe[PATH_MAX] = "?";
    if (t->traced)
        return true;
    t->traced = true;
    (void)!plat_proc_exe(tracer, exe, sizeof exe); /* gone already: "?" */
    snprintf(text, sizeof text, "by process %d, %.200s", (int)tracer, exe);
    notes_add(notes, "part_debugged", at->part, text);
    return true;
}

static bool look_stopped(struct tend *t, const struct tend_at *at, struct notes *notes)
{
    if (t->stops++ == 0)
        notes_add(notes, "part_stopped", at->part, "stopped by a signal, and continued");
    (void)kill(at->pid, SIGCONT); /* a child of ours that was not reaped: the number is its own */
    return t->stops > TEND_STOPS_MAX;
}

static void look_frozen(struct tend *t, const struct tend_at *at, struct notes *notes)
{
    if (!plat_life_frozen(at->pid)) {
        t->frozen = false;
        return;
    }
    int r = plat_life_thaw(at->pid);
    if (!t->frozen)
        notes_add(notes, "agent_frozen", at->part, r > 0 ? "its control group was frozen, and thawed" : "its control group is frozen");
    t->frozen = true;
}

/* The programs and links in the kernel live by its descriptors; fewer than there were, twice in a row: taken out. */
static void look_eyes(struct tend *t, const struct tend_at *at, struct notes *notes)
{
    unsigned eyes = 0;
    if (plat_life_eyes(at->pid, &eyes))
        return;
    t->fewer = eyes < t->eyes ? t->fewer + 1 : 0;
    if (t->fewer == 0)
        t->eyes = eyes;
    if (t->fewer < 2)
        return;
    char text[80];
    snprintf(text, sizeof text, "%u of %u are left", eyes, t->eyes);
    notes_add(notes, "agent_blinded", at->part, text);
    t->eyes = eyes;
    t->fewer = 0;
}

/* A part that others wait for, and that does not answer: it is asked to go on, then ended. */
static bool look_silent(struct tend *t, const struct tend_at *at, struct notes *notes)
{
    uint64_t age = tend_age(t, at->now_ms);
    char text[80];
    if (age <= TEND_STAND_MS)
        return false;
    (void)kill(at->pid, SIGCONT);
    if (age <= TEND_END_MS)
        return false;
    snprintf(text, sizeof text, "no word for %llu ms: ended, and started again", (unsigned long long)age);
    notes_add(notes, "part_stopped", at->part, text);
    return true;
}

bool tend_look(struct tend *t, const struct tend_at *at, struct notes *notes)
{
    struct plat_life life;
    if (plat_life_look(at->pid, &life))
        return false; /* it is ending */
    bool end = false;
    t->looks++;
    if (life.tracer)
        end |= look_traced(t, at, life.tracer, notes);
    if (life.state == 'T')
        end |= look_stopped(t, at, notes);
    else
        t->stops = 0;
    if (t->looks % FROZEN_EVERY == 0 || tend_age(t, at->now_ms) > TEND_STAND_MS)
        look_frozen(t, at, notes);
    if (at->deciding && t->looks > EYES_AFTER && t->looks % EYES_EVERY == 0)
        look_eyes(t, at, notes);
    if (at->deciding && !end && !t->frozen && !t->stops)
        end |= look_silent(t, at, notes);
    t->ended |= end;
    return end;
}

void tend_died(struct tend *t, const char *part, int status, bool failing, struct notes *notes)
{
    char text[48];
    plat_proc_status_text(status, text);
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && !t->ended)
        notes_add(notes, "part_killed", part, text);
    else if (failing)
        notes_add(notes, "part_fails", part, text);
}
