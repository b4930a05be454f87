/* Asks that are not answered yet: whoever takes one answers it, and the watchdog does when that takes too long. */
#include <unistd.h>

#include "plat/clock.h"
#include "sakimori-agent/sensor/internal.h"

#define HOLD_MS (WAIT_SUSPECT_MS + 5000)

int64_t sensor_now_ms(void)
{
    return (int64_t)plat_clock_mono_ms();
}

void slots_init(struct sensor *s)
{
    for (size_t i = 0; i < SLOTS; i++)
        s->slot[i].fd = -1;
}

int slot_take(struct sensor *s, int fd, enum fswatch_group g)
{
    int got = -1;
    pthread_mutex_lock(&s->slot_lock);
    for (size_t k = 0; k < SLOTS && got < 0; k++) {
        size_t i = (s->slot_hint + k) % SLOTS;
        if (s->slot[i].fd >= 0)
            continue;
        s->slot[i] = (struct slot){.fd = fd, .group = (uint8_t)g, .since_ms = sensor_now_ms()};
        s->slot_hint = i + 1;
        got = (int)i;
    }
    pthread_mutex_unlock(&s->slot_lock);
    return got;
}

int slot_fd(const struct sensor *s, int slot)
{
    return s->slot[slot].fd;
}

void slot_waits(struct sensor *s, int slot)
{
    pthread_mutex_lock(&s->slot_lock);
    s->slot[slot].waits = true;
    pthread_mutex_unlock(&s->slot_lock);
}

/* Under the lock, and before the number of the descriptor can be given to another ask. */
int slot_answer_keep(struct sensor *s, int slot, bool allow)
{
    pthread_mutex_lock(&s->slot_lock);
    int fd = s->slot[slot].fd;
    if (!s->slot[slot].rescued)
        fswatch_answer(s->w, s->slot[slot].group, fd, allow);
    s->slot[slot].fd = -1;
    pthread_mutex_unlock(&s->slot_lock);
    if (!allow)
        atomic_fetch_add(&s->denied, 1);
    return fd;
}

void slot_answer(struct sensor *s, int slot, bool allow)
{
    close(slot_answer_keep(s, slot, allow));
}

/* ---- the watchdog ---- */

static size_t rescue_group(struct sensor *s, enum fswatch_group g)
{
    struct fswatch_ask ask[FSWATCH_BATCH];
    uint64_t lost = 0;
    ssize_t n;
    size_t all = 0;
    while (fswatch_has(s->w, g) && (n = fswatch_asks(s->w, g, ask, FSWATCH_BATCH, &lost)) > 0)
        for (ssize_t i = 0; i < n; i++, all++) {
            fswatch_answer(s->w, g, ask[i].fd, true);
            close(ask[i].fd);
        }
    return all;
}

size_t slots_rescue(struct sensor *s, int64_t now_ms, bool alone)
{
    int64_t busy = atomic_load(&s->busy_ms);
    bool stands = alone || (busy && now_ms - busy > STAND_MS);
    size_t n = 0;
    pthread_mutex_lock(&s->slot_lock);
    for (size_t i = 0; i < SLOTS; i++) {
        struct slot *o = &s->slot[i];
        int64_t age = now_ms - o->since_ms;
        if (o->fd < 0 || o->rescued || (!alone && !(o->waits ? age > HOLD_MS : stands && age > STAND_MS)))
            continue;
        fswatch_answer(s->w, o->group, o->fd, true);
        o->rescued = true;
        n++;
    }
    pthread_mutex_unlock(&s->slot_lock);
    if (stands && s->w)
        n += rescue_group(s, FSWATCH_OPENS) + rescue_group(s, FSWATCH_EXECS) + rescue_group(s, FSWATCH_CUTS);
    return n;
}

void *watchdog_main(void *sensor)
{
    struct sensor *s = sensor;
    size_t unsaid = 0;
    while (!atomic_load(&s->ended)) {
        bool alone = atomic_load(&s->alone);
        size_t n = slots_rescue(s, sensor_now_ms(), alone);
        if (alone) {
            plat_clock_sleep_ms(5);
            continue;
        }
        atomic_fetch_add(&s->lost_answers, n);
        unsaid += n;
        if (unsaid && !n) { /* it goes on again: said once, with all of them */
            say_overflow(s, "answers", unsaid);
            unsaid = 0;
        }
        plat_clock_sleep_ms(n ? 20 : 250);
    }
    return NULL;
}
