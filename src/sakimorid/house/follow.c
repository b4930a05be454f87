/*
 * The thread that brings closed blocks to the servers, one after the other, each once.
 *
 * It keeps no position: the servers are asked which blocks of this record they have, and those they lack are brought,
 * the oldest first.  So it goes on after any pause, and fills what a server lost.  A block whose insert was not
 * answered is in doubt: its rows are counted, when no insert of ours runs any more, before anything else is done.
 * Nobody waits for this thread but a search, and that one only as long as it takes to copy a list.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "core/log.h"
#include "plat/clock.h"
#include "plat/proc.h"
#include "sakimorid/house/house_part.h"

enum { LOOK_MS = 1000, PING_MS = 30000, ASK_AGAIN_MS = 6 * 3600 * 1000, PAUSE_MAX_MS = 60000, AWAY_MS = 10000 };

struct follow {
    char dir[4200];
    pthread_t thread;
    atomic_bool stop, changed, look;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* under the lock */
    struct house_conf conf;
    bool have_conf, again, held, known, moving;
    struct house_set there;
    uint64_t doubt; /* a block that may be there, 0 none */
    uint64_t failed_ms;
    struct follow_state state;
    /* the thread's own */
    struct house *house;
    struct evreader *reader;
    uint64_t asked_ms, pinged_ms, after;
    unsigned pause_ms;
    char box[HOUSE_BOX + 1];
};

static void lock(struct follow *f)
{
    (void)pthread_mutex_lock(&f->lock); /* an ordinary one: cannot fail */
}

static void unlock(struct follow *f)
{
    (void)pthread_mutex_unlock(&f->lock); /* as above */
}

static bool stopped(void *arg)
{
    struct follow *f = arg;

    return atomic_load(&f->stop) || atomic_load(&f->changed);
}

/* ---- what became of it ---- */

static void went(struct follow *f, int r, const char *reason, const char *why)
{
    bool there = r >= 0;

    lock(f);
    if (there != f->state.there || !f->state.since_s)
        f->state.since_s = plat_clock_wall().s;
    f->again |= there && !f->state.there; /* who was away may have lost something */
    f->state.there = there;
    f->failed_ms = there ? 0 : plat_clock_mono_ms();
    (void)snprintf(f->state.reason, sizeof f->state.reason, "%.15s", there ? "" : *reason ? reason : "answer");
    (void)snprintf(f->state.why, sizeof f->state.why, "%.230s", there ? "" : *why ? why : sm_strerror(r));
    unlock(f);
    f->pause_ms = there ? 0 : f->pause_ms ? f->pause_ms * 2 : 1000;
    if (f->pause_ms > PAUSE_MAX_MS)
        f->pause_ms = PAUSE_MAX_MS;
}

static int went_house(struct follow *f, int r)
{
    if (!(r == -SM_ECANCEL && stopped(f)))
        went(f, r, house_reason(f->house), house_why(f->house));
    return r;
}

/* ---- steps ---- */

/* As set now; the record may have no key yet. */
static int connect_to(struct follow *f)
{
    struct house_conf conf;

    lock(f);
    conf = f->conf;
    atomic_store(&f->changed, false);
    f->known = false;
    f->doubt = 0;
    house_set_wipe(&f->there);
    f->state = (struct follow_state){0};
    unlock(f);
    house_free(f->house);
    f->house = NULL;
    f->after = 0;
    int r = house_box(f->dir, f->box);
    if (r >= 0)
        r = house_open(&conf, f->box, stopped, f, &f->house);
    house_conf_wipe(&conf);
    if (r < 0)
        went(f, r, "record", r == -ENOENT ? "the record has no seal yet" : "");
    return r;
}

static int ask_what_is_there(struct follow *f)
{
    struct house_set s = {0};
    bool busy = false;
    int r = house_busy(f->house, &busy);

    if (r >= 0 && busy) { /* of a life before: what it brings is not there yet */
        f->pause_ms = LOOK_MS;
        return -SM_EAGAIN;
    }
    r = went_house(f, r < 0 ? r : house_blocks(f->house, &s));
    if (r < 0)
        return r;
    lock(f);
    struct house_set was = f->there;
    f->there = s;
    f->known = true;
    f->state.blocks = s.blocks;
    f->state.events = s.events;
    f->state.odd = s.odd;
    f->state.odd_first = s.odd_first;
    f->again = false;
    unlock(f);
    house_set_wipe(&was);
    f->asked_ms = plat_clock_mono_ms();
    f->after = 0;
    return 0;
}

static void is_there(struct follow *f, const struct house_block *b)
{
    struct house_set *s = &f->there;

    lock(f);
    bool first = !s->blocks;
    if (house_set_add(s, b->number) < 0) {
        f->again = true; /* asked for once more */
    } else {
        s->first_s = first || b->first_s < s->first_s ? b->first_s : s->first_s;
        s->last_s = first || b->last_s > s->last_s ? b->last_s : s->last_s;
        s->events += b->events;
    }
    f->doubt = 0;
    f->state.blocks = s->blocks;
    f->state.events = s->events;
    f->state.brought_s = plat_clock_wall().s;
    unlock(f);
}

/* Of a block in doubt: 1 it is there, 0 it is not, or an error. */
static int settle(struct follow *f, const struct house_block *b)
{
    uint64_t n = 0;
    bool busy = false;
    int r = house_busy(f->house, &busy);

    if (r >= 0 && busy)
        return went_house(f, -SM_EAGAIN);
    if (r >= 0)
        r = house_count(f->house, b->number, &n);
    if (r < 0)
        return went_house(f, r);
    if (n && n != b->events) {
        lock(f);
        if (!f->state.odd++)
            f->state.odd_first = b->number;
        unlock(f);
        sm_error("block %llu has %llu rows in the store, not %u", (unsigned long long)b->number, (unsigned long long)n,
            (unsigned)b->events);
    }
    return n > 0;
}

/* No search may be under way when the rows begin to be there. */
static bool begin(struct follow *f, uint64_t block)
{
    lock(f);
    while (f->held && !stopped(f))
        (void)pthread_cond_wait(&f->wake, &f->lock); /* the lock is ours */
    bool go = !stopped(f);
    if (go)
        f->doubt = block;
    unlock(f);
    return go;
}

static int bring(struct follow *f, const struct house_block *b)
{
    lock(f);
    bool doubt = f->doubt == b->number;
    unlock(f);
    int r = doubt ? settle(f, b) : 0;
    if (r < 0)
        return r;
    if (r == 0) {
        if (!begin(f, b->number))
            return -SM_ECANCEL;
        r = house_put(f->house, f->reader, b);
        if (r < 0 &&
            !strcmp(house_reason(f->house), "block")) { /* of the box itself: the others are not kept waiting */
            sm_error("block %llu cannot be read for the store: %s", (unsigned long long)b->number, sm_strerror(r));
            f->after = b->number;
            lock(f);
            f->state.damaged++;
            f->doubt = 0; /* what is broken off leaves nothing */
            unlock(f);
            return 1;
        }
        if (r < 0)
            return went_house(f, r);
    }
    is_there(f, b);
    went(f, 0, "", "");
    return 1;
}

/* The next block, if there is one: 1, or 0 when all is there. */
static int step(struct follow *f)
{
    struct house_block b;
    uint64_t waiting = 0;
    int r = f->reader ? evreader_refresh(f->reader) : evreader_open_closed(f->dir, &f->reader);

    if (r < 0) {
        went(f, r, "record", "the record cannot be read");
        return r;
    }
    lock(f);
    int found = house_next(f->reader, &f->there, f->after, &b, &waiting);
    f->state.waiting = waiting;
    unlock(f);
    return found ? bring(f, &b) : 0;
}

/* With nothing to bring: are they there? */
static int ping(struct follow *f)
{
    uint64_t now = plat_clock_mono_ms();

    if (!atomic_exchange(&f->look, false) && now - f->pinged_ms < PING_MS)
        return 0;
    f->pinged_ms = now;
    return went_house(f, house_ping(f->house));
}

static void rest(struct follow *f, unsigned ms)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_REALTIME, &until); /* always there */
    until.tv_sec += ms / 1000;
    until.tv_nsec += (long)(ms % 1000) * 1000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    lock(f);
    if (!stopped(f) && !f->again && !atomic_load(&f->look))
        (void)pthread_cond_timedwait(&f->wake, &f->lock, &until); /* woken early: looked at once more */
    unlock(f);
}

static void *work(void *arg)
{
    struct follow *f = arg;

    while (!atomic_load(&f->stop)) {
        lock(f);
        bool have = f->have_conf, again = f->again, known = f->known;
        unlock(f);
        int r = 0;
        if (have && (atomic_load(&f->changed) || !f->house))
            r = connect_to(f);
        if (have && r >= 0 && (again || !known || !f->asked_ms || plat_clock_mono_ms() - f->asked_ms > ASK_AGAIN_MS))
            r = ask_what_is_there(f);
        if (have && r >= 0)
            r = step(f);
        if (have && r == 0)
            r = ping(f);
        lock(f);
        if (r < 0)
            f->again = false; /* not at once */
        unlock(f);
        if (r <= 0)
            rest(f, r < 0 && f->pause_ms ? f->pause_ms : LOOK_MS);
    }
    return NULL;
}

/* ---- from the loop ---- */

int follow_new(const char *dir, struct follow **ret)
{
    struct follow *f = calloc(1, sizeof *f);

    if (!f)
        return -ENOMEM;
    (void)snprintf(f->dir, sizeof f->dir, "%s", dir); /* of the same size */
    (void)pthread_mutex_init(&f->lock, NULL);         /* an ordinary one: cannot fail */
    (void)pthread_cond_init(&f->wake, NULL);          /* likewise */
    int r = -pthread_create(&f->thread, NULL, work, f);
    if (r < 0) {
        free(f);
        return r;
    }
    *ret = f;
    return 0;
}

static void wake(struct follow *f)
{
    lock(f);
    (void)pthread_cond_broadcast(&f->wake);
    unlock(f);
}

void follow_free(struct follow *f)
{
    if (!f)
        return;
    atomic_store(&f->stop, true);
    wake(f);
    (void)pthread_join(f->thread, NULL); /* our own thread */
    house_free(f->house);
    evreader_free(f->reader);
    house_set_wipe(&f->there);
    house_conf_wipe(&f->conf);
    (void)pthread_cond_destroy(&f->wake);
    (void)pthread_mutex_destroy(&f->lock);
    free(f);
}

void follow_conf(struct follow *f, const struct house_conf *conf)
{
    lock(f);
    f->conf = *conf;
    f->have_conf = true;
    f->known = false;
    atomic_store(&f->changed, true);
    unlock(f);
    wake(f);
}

void follow_again(struct follow *f)
{
    lock(f);
    f->again = true;
    f->failed_ms = 0;
    unlock(f);
    wake(f);
}

void follow_look(struct follow *f)
{
    atomic_store(&f->look, true);
    wake(f);
}

void follow_state(struct follow *f, struct follow_state *ret)
{
    lock(f);
    *ret = f->state;
    unlock(f);
}

bool follow_hold(struct follow *f, struct house_set *ret, uint64_t *ret_not_block)
{
    bool ok;

    lock(f);
    ok = f->known && !atomic_load(&f->changed) && (!f->failed_ms || plat_clock_mono_ms() - f->failed_ms > AWAY_MS);
    *ret = f->there;
    ret->bits = ok && f->there.bits ? malloc((size_t)(f->there.most >> 3) + 1) : NULL;
    ok = ok && (ret->bits || !f->there.bits);
    if (ret->bits)
        memcpy(ret->bits, f->there.bits, (size_t)(f->there.most >> 3) + 1);
    *ret_not_block = f->doubt;
    f->held = ok;
    unlock(f);
    if (!ok)
        *ret = (struct house_set){0};
    return ok;
}

void follow_go_on(struct follow *f)
{
    lock(f);
    f->held = false;
    unlock(f);
    wake(f);
}
