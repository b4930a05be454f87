/* The deciding thread: takes in what happened, answers asks, and sees to it that nothing waits for long. */
#include <errno.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plat/clock.h"
#include "sakimori-agent/sensor/internal.h"

#define LOOK_MS 250
#define TICK_MS 1000
#define LOOK_FILES 16u

/* ---- how detect/ransom looks at files ---- */

static int fd_of(const struct sensor *s, uint64_t file)
{
    const struct held_file *f = file == s->now_file ? NULL : held_any(s->held, file);
    return file == s->now_file ? s->now_fd : f ? f->fd : -1;
}

static int see_now(void *ctx, uint64_t file, uint64_t *ret_size, unsigned *ret_links)
{
    struct sensor *s = ctx;
    struct stat st;
    int fd = fd_of(s, file);
    if (fd < 0)
        return -SM_ENOTFOUND;
    if (fstat(fd, &st))
        return -errno;
    *ret_size = (uint64_t)st.st_size;
    *ret_links = (unsigned)st.st_nlink;
    return 0;
}

static int see_before(void *ctx, uint64_t tree, uint64_t file, uint64_t *ret_size)
{
    struct sensor *s = ctx;
    const struct held_file *f = held_find(s->held, tree, file);
    return f && f->kept && s->give ? giveback_size(s->give, f->kept, ret_size) : -SM_ENOTFOUND;
}

static ssize_t read_now(void *ctx, uint64_t file, uint64_t offset, uint8_t *buf, size_t n)
{
    struct sensor *s = ctx;
    int fd = fd_of(s, file);
    if (fd < 0)
        return -SM_ENOTFOUND;
    ssize_t got = pread(fd, buf, n, (off_t)offset);
    return got < 0 ? -errno : got;
}

static ssize_t read_before(void *ctx, uint64_t tree, uint64_t file, uint64_t offset, uint8_t *buf, size_t n)
{
    struct sensor *s = ctx;
    const struct held_file *f = held_find(s->held, tree, file);
    return f && f->kept && s->give ? giveback_read(s->give, f->kept, offset, buf, n) : -SM_ENOTFOUND;
}

int scores_make(struct sensor *s, int sensitivity)
{
    const struct ransom_files files = {.ctx = s, .now = see_now, .before = see_before, .read_now = read_now, .read_before = read_before};
    struct ransom *r = ransom_new(&files, sensitivity);
    if (!r)
        return -ENOMEM;
    ransom_free(s->ransom);
    s->ransom = r;
    return 0;
}

/* ---- the rounds ---- */

static void take_asks(struct sensor *s, enum fswatch_group g)
{
    struct fswatch_ask ask[FSWATCH_BATCH];
    int slot[FSWATCH_BATCH];
    uint64_t lost = 0;
    ssize_t n = fswatch_asks(s->w, g, ask, FSWATCH_BATCH, &lost);
    if (lost)
        atomic_fetch_add(&s->overflows, lost);
    for (ssize_t i = 0; i < n; i++) {
        slot[i] = slot_take(s, ask[i].fd, g);
        if (slot[i] < 0) { /* too many wait already */
            fswatch_answer(s->w, g, ask[i].fd, true);
            close(ask[i].fd);
            atomic_fetch_add(&s->lost_answers, 1);
        }
    }
    if (n > 0) { /* what happened before an open counts in it */
        procs_drain(s->procs);
        notices_take(s);
    }
    for (ssize_t i = 0; i < n; i++) {
        if (slot[i] < 0)
            continue;
        atomic_store(&s->busy_ms, sensor_now_ms());
        atomic_fetch_add_explicit(&s->asks, 1, memory_order_relaxed);
        if (g == FSWATCH_EXECS)
            programs_ask(s, &ask[i], slot[i]);
        else if (g == FSWATCH_CUTS && !ask[i].cut)
            decide_piece(s, &ask[i], slot[i]);
        else
            decide_open(s, &ask[i], slot[i], false);
    }
}

static void take_commands(struct sensor *s)
{
    uint64_t n;
    int sensitivity = atomic_exchange(&s->sensitivity, -1);
    (void)!read(s->wake_fd, &n, sizeof n); /* nothing there: the list is looked at all the same */
    if (sensitivity >= 0 && scores_make(s, sensitivity))
        say_overflow(s, "memory", 1);
    pthread_mutex_lock(&s->command_lock);
    size_t count = s->command_n;
    struct { uint64_t tree; uint8_t what; } list[64];
    memcpy(list, s->command, sizeof list);
    s->command_n = 0;
    pthread_mutex_unlock(&s->command_lock);
    for (size_t i = 0; i < count; i++)
        trees_command(s, list[i].tree, (enum sensor_do)list[i].what);
}

/* Those that were to be asked once more after a moment. */
static void take_again(struct sensor *s, int64_t now)
{
    for (size_t i = 0; i < s->again_n;) {
        if (s->again[i].at_ms > now) {
            i++;
            continue;
        }
        const struct again a = s->again[i];
        s->again[i] = s->again[--s->again_n];
        decide_open(s, &a.ask, a.slot, true);
    }
}

static void look_again(struct sensor *s, int64_t now)
{
    uint64_t tree;
    struct ransom_verdict v;
    for (unsigned k = 0; k < 8 && ransom_look(s->ransom, now, LOOK_FILES, &tree, &v) == 1; k++) {
        struct tree *t = trees_find(s, tree);
        if (t)
            trees_verdict(s, t, &v, NULL);
    }
}

struct said_counts {
    uint64_t overflows, unkept;
};

static void say_counts(struct sensor *s, struct said_counts *was)
{
    uint64_t over = atomic_load(&s->overflows), unkept = atomic_load(&s->unkept);
    if (over != was->overflows)
        say_overflow(s, "notices", over - was->overflows);
    if (unkept != was->unkept)
        say_overflow(s, "copies", unkept - was->unkept);
    *was = (struct said_counts){over, unkept};
}

static void tick(struct sensor *s, int64_t now, struct said_counts *said)
{
    procs_tick(s->procs);
    trees_tick(s);
    fswatch_rest(s->w);
    held_age(s->held, now - HELD_AGE_MS, now - HELD_OTHER_MS);
    atomic_store(&s->held_now, held_count(s->held));
    say_counts(s, said);
}

static int time_left(const struct sensor *s, int64_t now, int64_t look_at)
{
    int64_t until = look_at;
    for (size_t i = 0; i < s->again_n; i++)
        until = s->again[i].at_ms < until ? s->again[i].at_ms : until;
    if (s->settling_n && until > now + SETTLE_LOOK_MS)
        until = now + SETTLE_LOOK_MS;
    return until <= now ? 0 : (int)(until - now);
}

static int await(struct sensor *s, int timeout_ms)
{
    struct pollfd p[] = {{fswatch_fd(s->w, FSWATCH_OPENS), POLLIN, 0}, {fswatch_fd(s->w, FSWATCH_NOTICES), POLLIN, 0},
        {fswatch_fd(s->w, FSWATCH_EXECS), POLLIN, 0}, {procs_fd(s->procs), POLLIN, 0}, {s->wake_fd, POLLIN, 0},
        {s->done_fd, POLLIN, 0}, {fswatch_fd(s->w, FSWATCH_CUTS), POLLIN, 0}};
    atomic_store(&s->busy_ms, 0);
    int n = poll(p, sizeof p / sizeof p[0], timeout_ms);
    atomic_store(&s->busy_ms, sensor_now_ms());
    int ready = 0;
    for (size_t i = 0; n > 0 && i < sizeof p / sizeof p[0]; i++)
        ready |= p[i].revents ? 1 << i : 0;
    return ready;
}

void *decide_main(void *sensor)
{
    struct sensor *s = sensor;
    struct said_counts said = {0};
    int64_t look_at = 0, tick_at = 0;
    atomic_store(&s->tid[0], (uint64_t)gettid());
    while (!atomic_load(&s->over)) {
        int64_t now = sensor_now_ms();
        int ready = await(s, time_left(s, now, look_at));
        if (ready & 8)
            procs_drain(s->procs);
        if (ready & 16)
            take_commands(s);
        if (ready & 2)
            notices_take(s);
        if (ready & 32)
            jobs_done(s);
        if (ready & 1)
            take_asks(s, FSWATCH_OPENS);
        if (ready & 4)
            take_asks(s, FSWATCH_EXECS);
        if (ready & 64)
            take_asks(s, FSWATCH_CUTS);
        now = sensor_now_ms();
        take_again(s, now);
        trees_settle(s, now);
        if (now >= look_at) {
            look_again(s, now);
            jobs_late(s);
            pending_tick(s);
            look_at = now + LOOK_MS;
        }
        if (now >= tick_at) {
            tick(s, now, &said);
            tick_at = now + TICK_MS;
        }
    }
    return NULL;
}
