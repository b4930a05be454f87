/*
 * The record is kept: its files are looked after while it is open, and when brain asks a copy that stands still is laid beside
 * it for the box's own backup (docs/FORMAT-journal.md, "Saved").
 */
#include <errno.h>
#include <inttypes.h>
#include "core/log.h"
#include "plat/clock.h"
#include "sakimorid/watch/watch.h"
#include "sakimorid/wire.h"

enum { ALL_MS = 60000, HARMS_MAX = 32 /* of one turn; more are looked at a second later */ };
#define SAVED "saved"

/* ---- looking after it ---- */

static const char *kind_word(enum evidence_harm_kind kind)
{
    static const char *const words[] = { "", "deleted", "replaced", "cut", "rewritten" };

    return words[kind];
}

void keeping_damaged(struct watch *w, const char *file, const char *kind, bool rescued)
{
    size_t n = strlen(w->damaged);

    (void)snprintf(w->damaged + n, sizeof w->damaged - n, "%s%s %s", n ? "; " : "", file, kind); /* cut: the first ones count */
    sm_error("the record was harmed: %s %s%s", file, kind, rescued ? " (what was in it is kept)" : "");
    watch_say(w, json_pack("{ss ss ss ss sb}", "what", "damaged", "why", w->damaged, "file", file, "kind", kind, "rescued", rescued));
}

static void guard(struct watch *w, uint64_t now_ms)
{
    struct evidence_harm h;
    bool all = now_ms >= w->guard_due_ms;
    int r = 0;

    if (all)
        w->guard_due_ms = now_ms + ALL_MS;
    for (int i = 0; i < HARMS_MAX && (r = evidence_guard(w->journal, all, &h)) > 0; i++)
        keeping_damaged(w, h.file, kind_word(h.kind), h.rescued);
    if (r < 0)
        sm_warn("the record's files cannot be looked at: %s", sm_strerror(r));
}

/* ---- the copy ---- */

static json_t *said(const struct watch *w)
{
    struct evidence_status s;
    uint8_t hash[32];
    uint64_t seq;

    evidence_status(w->journal, &s);
    evidence_seal_last(w->journal, &seq, hash);
    return json_pack("{sI sI sI sI sI sI sI ss}", "block", (json_int_t)s.last_block, "sealed_block", (json_int_t)s.sealed_block, "seq",
        (json_int_t)seq, "segments", (json_int_t)s.segments, "events", (json_int_t)s.events, "bytes", (json_int_t)s.stored_bytes, "at_s",
        (json_int_t)w->save_at_s, "damaged", w->damaged);
}

static void answer(struct watch *w, int r)
{
    struct sm_buf b = SM_BUF_INIT(4096);
    json_t *j = r < 0 ? NULL : said(w);

    if (r >= 0)
        r = j ? sm_json_dump(j, &b) : -ENOMEM;
    if (r < 0)
        child_reply_late_error(w->c, &w->save_late, r, sm_strerror(r));
    else
        (void)child_reply_late(w->c, &w->save_late, 0, sm_buf_span(&b)); /* gone: it asks again */
    json_decref(j);
    sm_buf_wipe(&b);
    w->saving = false;
}

/* The keeper is idle.  First the seal of what was just closed; without keyd (it is coming back) at the next turn, up to a minute. */
void keeping_go(struct watch *w)
{
    struct evidence_status s;

    if (!w->saving || w->sealing)
        return;
    evidence_status(w->journal, &s);
    uint64_t now = plat_clock_mono_ms();
    if (s.last_block > s.sealed_block && now < w->save_until_ms) {
        w->seal_due_ms = 0;
        sealing_tick(w, now);
        return;
    }
    int r = evidence_copy(w->journal, SAVED);
    if (r == -SM_EPARTIAL) {
        sm_warn("a part of the record is missing: the rest is saved");
        r = 0;
    }
    answer(w, r);
}

/* {} → what is laid out in DATA/journal/saved: whole and sealed, and left alone until the next W_SAVE. */
void keeping_on_save(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct watch *w = c->state;
    (void)keeper_wait(w); /* the journal is ours */
    int r = w->saving || w->full ? -SM_EAGAIN : evidence_close(w->journal);

    if (r < 0) {
        child_reply_error(ipc, m, r, w->full ? "logs cannot be written now" : sm_strerror(r));
        return;
    }
    w->saving = true;
    w->save_at_s = plat_clock_wall().s;
    w->save_until_ms = plat_clock_mono_ms() + ALL_MS;
    w->save_late = child_later(c, peer, m);
    keeping_go(w);
}

void keeping_tick(struct watch *w, uint64_t now_ms)
{
    guard(w, now_ms);
    keeping_go(w);
}
