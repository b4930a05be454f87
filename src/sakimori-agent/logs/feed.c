/*
 * Batches.  A batch is begun by writing down its number and its range, synced; then it is sent, and sent again with
 * that number until the box says it has it.  The place moves on with the next batch's writing, or a while after the
 * last one: what is sent twice by that is known to the box by its number.
 */
#include <errno.h>

#include "core/log.h"
#include "plat/clock.h"
#include "sakimori-agent/logs/cut.h"
#include "sakimori-agent/logs/logs.h"

#define BACKOFF_MIN_MS 1000u
#define BACKOFF_MAX_MS 30000u
#define AGAIN_MAX 8u /* gaps that are found one after the other */
#define SAVE_MS 5000u
#define SAVE_AGAIN_MS 10000u

static int keep(struct log *l)
{
    json_t *state = l->input->save(l);
    if (!state)
        return -ENOMEM;
    json_decref(l->at.state);
    l->at.state = state;
    int r = l->all->folder == LOG_NO_FOLDER ? 0 : log_cursor_save(l->all->folder, l->name, &l->at);
    if (!r)
        l->unsaved = false;
    return r;
}

void feed_save(struct log *l)
{
    uint64_t now = l->all->now_ms();
    int r = l->sending || l->batch.n ? 0 : keep(l);
    l->save_ms = r ? now + SAVE_AGAIN_MS : 0;
    if (r)
        log_state(l, "error", "%s", sm_strerror(r));
}

static void drop_batch(struct log *l)
{
    sm_buf_wipe(&l->batch);
    l->batch_n = 0;
    json_decref(l->at.range);
    l->at.range = NULL;
}

static int put_gap(struct log *l, const char *text)
{
    struct sm_time now = plat_clock_wall();
    int r = log_cut_record(&l->batch, now.s * INT64_C(1000000000) + now.ns, false, SM_SPAN_STR(text));
    l->batch_n += !r;
    return r;
}

/* What was begun before a crash, once more.  What cannot be read again may have come through or not: its number is not
 * used for anything else. */
static void make_again(struct log *l)
{
    const char *gap = json_string_value(json_object_get(l->at.range, "gap"));
    const json_t *in = json_object_get(l->at.range, "in");
    int r = gap ? put_gap(l, gap) : 0;
    if (!r && in)
        r = l->input->again(l, in);
    if (!r && l->batch.n)
        return;
    if (r == -SM_EAGAIN) { /* what it is read from is not there yet */
        sm_buf_wipe(&l->batch);
        l->batch_n = 0;
        l->not_before_ms = l->all->now_ms() + SAVE_AGAIN_MS;
        return;
    }
    drop_batch(l);
    if (r)
        log_gap(l, 1, 0, "changed before it was sent");
}

static int make(struct log *l, unsigned again_left)
{
    char text[240];
    json_t *in = NULL, *range = json_object();
    int r = range ? 0 : -ENOMEM;
    if (!r && l->at.gap_files) {
        snprintf(text, sizeof text, "sakimori-agent: gap in %s: %s; pieces %llu, known bytes %llu", l->name,
            l->at.gap_why, (unsigned long long)l->at.gap_files, (unsigned long long)l->at.gap_bytes);
        r = put_gap(l, text);
        if (!r)
            r = json_object_set_new(range, "gap", json_string(text)) ? -ENOMEM : 0;
    }
    uint64_t gaps = l->at.gap_files;
    if (!r)
        r = l->input->next(l, &in);
    if (r >= 0 && l->at.gap_files != gaps) { /* found while it was read: it is told before what follows it */
        json_decref(in);
        json_decref(range);
        drop_batch(l);
        return again_left ? make(l, again_left - 1) : -SM_EAGAIN;
    }
    if (r >= 0 && in)
        r = json_object_set_new(range, "in", in) ? -ENOMEM : 0;
    if (r < 0 || !l->batch.n) {
        json_decref(range);
        drop_batch(l);
        return r < 0 ? r : 0;
    }
    l->at.range = range;
    l->at.number++;
    r = keep(l);
    if (!r)
        return 0;
    drop_batch(l); /* nobody has seen it; the number is not used again all the same */
    return r;
}

void feed_go(struct log *l)
{
    struct logs *all = l->all;
    uint64_t now = all->now_ms();
    if (l->sending || now < l->not_before_ms || all->sending >= LOG_SENDING_MAX) {
        l->dirty |= all->sending >= LOG_SENDING_MAX;
        return;
    }
    l->not_before_ms = 0;
    if (!l->batch.n && l->at.range)
        make_again(l);
    if (l->not_before_ms)
        return;
    int r = l->batch.n ? 0 : make(l, AGAIN_MAX);
    if (r) {
        log_state(l, "error", "%s", sm_strerror(r));
        l->not_before_ms = now + SAVE_AGAIN_MS;
        return;
    }
    if (!l->batch.n) {
        if (l->unsaved && !l->save_ms)
            l->save_ms = now + SAVE_MS;
        return;
    }
    l->sending = true;
    all->sending++;
    r = all->send(all, l);
    if (r)
        feed_answer(l, r);
}

static void taken(struct log *l)
{
    const json_t *in = json_object_get(l->at.range, "in");
    bool gap = json_object_get(l->at.range, "gap") != NULL;
    if (in)
        l->input->took(l, in);
    l->at.counts.records += l->batch_n;
    l->at.counts.bytes += l->batch.n - l->batch_n * 12;
    l->last_s = plat_clock_wall().s;
    if (gap) {
        l->at.counts.gaps += l->at.gap_files;
        l->at.gap_files = l->at.gap_bytes = 0;
    }
    drop_batch(l);
    l->unsaved = true;
}

void feed_answer(struct log *l, int status)
{
    uint64_t now = l->all->now_ms();
    l->sending = false;
    l->all->sending--;
    l->dirty = true;
    if (status == 200) {
        taken(l);
        l->backoff_ms = 0;
        return;
    }
    if (status == 400 || status == 413) { /* never of what is made here, unless a box wants less than it said */
        sm_error("the box does not take a batch of %s (%d): it is left out", l->name, status);
        taken(l);
        log_gap(l, 1, 0, "the box refused it");
        return;
    }
    l->backoff_ms = !l->backoff_ms                       ? BACKOFF_MIN_MS
                    : l->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS
                                                         : l->backoff_ms * 2;
    l->not_before_ms = now + l->backoff_ms;
}
