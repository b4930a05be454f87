/* Birth, life and end of a sensor, and what its owner asks of it. */
#include "sakimori-agent/sensor/internal.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "plat/clock.h"

#define ROWS 256u

static void on_event(void *ctx, struct sm_span line)
{
    say_event(ctx, line);
}

static void on_word(void *ctx, enum procs_what what, const struct proctree_row *row)
{
    pending_word(ctx, what, row);
}

static void add_why(struct sensor *s, const char *text)
{
    size_t n = strlen(s->why);
    if (text[0])
        snprintf(s->why + n, sizeof s->why - n, "%s%s", n ? "; " : "", text);
}

static int make_locks(struct sensor *s)
{
    pthread_mutex_t *const lock[] = {&s->slot_lock, &s->settings_lock, &s->walk_lock, &s->job_lock, &s->command_lock, &s->say_lock};
    pthread_condattr_t mono;
    int r = 0;
    for (size_t i = 0; i < sizeof lock / sizeof lock[0] && !r; i++)
        r = pthread_mutex_init(lock[i], NULL);
    if (!r)
        r = pthread_condattr_init(&mono);
    if (!r) {
        r = pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
        r = r ? r : pthread_cond_init(&s->job_cond, &mono);
        r = r ? r : pthread_cond_init(&s->walk_cond, &mono);
        pthread_condattr_destroy(&mono);
    }
    return -r;
}

static void dropped(void *ctx, uint64_t file, int fd)
{
    struct sensor *s = ctx;
    if (s->w)
        (void)!fswatch_guard(s->w, fd, false); /* most were guarded */
    if (s->ransom)
        ransom_drop_file(s->ransom, file);
}

static int make_tables(struct sensor *s)
{
    s->held = held_new(HELD_MAX, dropped, s);
    s->acts = acts_new(ACTS_BYTES);
    s->trees = calloc(TREES_MAX, sizeof *s->trees);
    s->rows = malloc(ROWS * sizeof *s->rows);
    s->rows_max = ROWS;
    s->say_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (!s->held || !s->acts || !s->trees || !s->rows)
        return -ENOMEM;
    return s->say_fd < 0 || s->wake_fd < 0 || s->done_fd < 0 ? -EMFILE : scores_make(s, 1);
}

static void open_watch(struct sensor *s)
{
    char why[240] = "";
    int r = fswatch_open(1u << FSWATCH_OPENS | 1u << FSWATCH_NOTICES | 1u << FSWATCH_EXECS | 1u << FSWATCH_CUTS, &s->w, why);
    if (r)
        s->w = NULL;
    add_why(s, why);
    if (r && !why[0])
        add_why(s, "files cannot be watched here");
}

int sensor_new(const struct sensor_setup *setup, struct sensor **ret, char *ret_why)
{
    struct sensor *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    s->setup = *setup;
    s->say_fd = s->wake_fd = s->done_fd = -1;
    atomic_store(&s->sensitivity, -1);
    atomic_store(&s->mode, ENDPOINT_OFF);
    s->sensitive = 1;
    slots_init(s);
    const struct procs_config config = {.event = on_event, .word = on_word, .number = who_number, .tree_gone = trees_gone, .ctx = s};
    int r = make_locks(s);
    if (!r)
        r = make_tables(s);
    if (!r)
        r = procs_new(&config, &s->procs);
    if (!r && setup->giveback >= 0 && (r = giveback_open(setup->giveback, &setup->limits, &s->give)) != 0) {
        char text[120];
        snprintf(text, sizeof text, "files cannot be kept (%s)", sm_strerror(r));
        add_why(s, text);
        s->give = NULL;
        r = r == -ENOMEM ? r : 0;
    }
    if (r) {
        sensor_free(s);
        return r;
    }
    open_watch(s);
    snprintf(ret_why, 400, "%s", s->why);
    *ret = s;
    return 0;
}

/* ---- threads ---- */

static int begin(pthread_t *t, void *(*fn)(void *), void *arg)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old); /* signals are the owner's */
    int r = pthread_create(t, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return -r;
}

struct worker {
    struct sensor *s;
    size_t number;
};

static int begin_workers(struct sensor *s)
{
    int r = 0;
    for (size_t i = 0; i < WORKERS && !r; i++) {
        struct worker *w = malloc(sizeof *w);
        if (!w)
            return -ENOMEM;
        *w = (struct worker){s, i};
        r = begin(&s->worker[i], worker_main, w);
        if (r)
            free(w);
        else
            s->workers++;
    }
    return r;
}

int sensor_start(struct sensor *s)
{
    if (!s->w)
        return 0;
    who_init(s);
    int r = begin_workers(s);
    if (!r)
        s->has_decider = !(r = begin(&s->decider, decide_main, s));
    if (!r)
        s->has_watchdog = !(r = begin(&s->watchdog, watchdog_main, s));
    if (!r)
        s->has_walker = !(r = begin(&s->walker, walker_main, s));
    return r;
}

static void wake(struct sensor *s)
{
    const uint64_t one = 1;
    (void)!write(s->wake_fd, &one, sizeof one); /* full: it is awake already */
}

static void end_threads(struct sensor *s)
{
    atomic_store(&s->over, true);
    wake(s);
    pthread_mutex_lock(&s->walk_lock);
    pthread_cond_broadcast(&s->walk_cond);
    pthread_mutex_unlock(&s->walk_lock);
    if (s->has_decider)
        pthread_join(s->decider, NULL);
    atomic_store(&s->alone, true); /* from here on the watchdog answers: the walker may be asking for a folder itself */
    pthread_mutex_lock(&s->job_lock);
    for (size_t i = 0; i < WORKERS; i++)
        for (struct job *j = s->todo[i]; j; j = j->next)
            j->cancel = true;
    for (struct job *j = s->waiting; j; j = j->waiting_next)
        __atomic_store_n(&j->cancel, true, __ATOMIC_RELAXED);
    pthread_cond_broadcast(&s->job_cond);
    pthread_mutex_unlock(&s->job_lock);
    if (s->has_walker)
        pthread_join(s->walker, NULL);
    for (size_t i = 0; i < s->workers; i++)
        pthread_join(s->worker[i], NULL);
    atomic_store(&s->ended, true);
    if (s->has_watchdog)
        pthread_join(s->watchdog, NULL);
    fswatch_close(s->w);
    s->w = NULL;
}

void sensor_free(struct sensor *s)
{
    if (!s)
        return;
    end_threads(s);
    for (struct job *j = s->waiting, *next; j; j = next) {
        next = j->waiting_next;
        close(j->fd);
        free(j);
    }
    for (size_t i = 0; i < s->pending_n; i++)
        free(s->pending[i].path);
    held_free(s->held);
    ransom_free(s->ransom);
    acts_free(s->acts);
    giveback_close(s->give);
    procs_free(s->procs);
    say_drop(s);
    roots_free(s);
    free(s->decoy);
    free(s->block);
    free(s->trees);
    free(s->rows);
    const int fds[] = {s->say_fd, s->wake_fd, s->done_fd};
    for (size_t i = 0; i < 3; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(s);
}

/* ---- what the owner asks ---- */

int sensor_policy(struct sensor *s, const struct endpoint_policy *p, const char *const *sources, size_t n)
{
    uint8_t(*block)[32] = p->block_file_n ? malloc(p->block_file_n * sizeof *block) : NULL;
    if (p->block_file_n && !block)
        return -ENOMEM;
    if (block)
        memcpy(block, p->block_file, p->block_file_n * sizeof *block);
    pthread_mutex_lock(&s->settings_lock);
    uint64_t before = roots_sum(s);
    int r = roots_set(s, p, sources, n);
    bool other = roots_sum(s) != before;
    free(s->block);
    s->block = block;
    s->block_n = p->block_file_n;
    pthread_mutex_unlock(&s->settings_lock);
    if (p->sensitivity != s->sensitive) {
        s->sensitive = p->sensitivity;
        atomic_store(&s->sensitivity, p->sensitivity);
    }
    atomic_store(&s->mode, (int)p->ransom);
    wake(s);
    pthread_mutex_lock(&s->walk_lock);
    s->walk_flush |= other; /* what is no longer protected is watched no longer; else nothing is let go meanwhile */
    s->walk_anew = true;
    pthread_cond_signal(&s->walk_cond);
    pthread_mutex_unlock(&s->walk_lock);
    return r;
}

int sensor_tree(struct sensor *s, uint64_t tree, enum sensor_do what)
{
    int r = -SM_EAGAIN;
    pthread_mutex_lock(&s->command_lock);
    if (s->command_n < sizeof s->command / sizeof s->command[0]) {
        s->command[s->command_n].tree = tree;
        s->command[s->command_n++].what = (uint8_t)what;
        r = 0;
    }
    pthread_mutex_unlock(&s->command_lock);
    wake(s);
    return r;
}

int sensor_fd(const struct sensor *s)
{
    return s->say_fd;
}

static json_t *reasons(struct sensor *s)
{
    char text[80];
    json_t *why = json_array();
    size_t failed = atomic_load(&s->folders_failed);
    if (s->why[0])
        json_array_append_new(why, json_string(s->why));
    if (failed) {
        snprintf(text, sizeof text, "%zu folders could not be marked", failed);
        json_array_append_new(why, json_string(text));
    }
    if (atomic_load(&s->filesystem))
        json_array_append_new(why, json_string("more folders than are marked one by one: whole file systems are watched"));
    return why;
}

/* Why it watches nothing although nothing failed, or NULL. */
static const char *waits_for(struct sensor *s)
{
    if (atomic_load(&s->armed) || atomic_load(&s->mode) == ENDPOINT_OFF || !fswatch_has(s->w, FSWATCH_OPENS))
        return NULL;
    if (!atomic_load(&s->walked))
        return "start";
    pthread_mutex_lock(&s->settings_lock);
    size_t roots = s->root_n;
    pthread_mutex_unlock(&s->settings_lock);
    return roots ? NULL : "folders";
}

int sensor_state(struct sensor *s, json_t **ret)
{
    struct giveback_room room = {0};
    bool armed = atomic_load(&s->armed) && atomic_load(&s->mode) != ENDPOINT_OFF;
    if (s->give)
        giveback_room(s->give, &room);
    json_t *o = json_pack("{s:b,s:b,s:s,s:I,s:I,s:I,s:{s:I,s:I,s:I},s:{s:I,s:I,s:I},s:s?,s:o}", "armed", armed, "whole",
        atomic_load(&s->walked), "how", !armed ? "none" : atomic_load(&s->filesystem) ? "filesystem" : "folders", "folders",
        (json_int_t)atomic_load(&s->folders), "files_held", (json_int_t)atomic_load(&s->held_now), "asks",
        (json_int_t)atomic_load(&s->asks), "lost", "events",
        (json_int_t)(atomic_load(&s->lost_events) + atomic_load(&s->overflows)), "answers",
        (json_int_t)atomic_load(&s->lost_answers), "copies", (json_int_t)atomic_load(&s->unkept), "giveback", "bytes",
        (json_int_t)room.bytes, "files", (json_int_t)room.files, "let_go", (json_int_t)room.let_go,
        "waits", waits_for(s), "why", reasons(s));
    int r = o ? procs_state(s->procs, o) : -ENOMEM;
    if (r)
        json_decref(o);
    else
        *ret = o;
    return r;
}
