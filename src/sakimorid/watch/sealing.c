/* The seal: closed blocks are signed by keyd, and what the rules of retention let go is signed away before it goes. */
#include <errno.h>
#include "core/log.h"
#include "plat/clock.h"
#include "sakimorid/watch/watch.h"

enum { SEAL_MS = 60000, RETIRE_MS = 3600000 };

/* Statements of keyd: u32 length of the body | statement | body, from the first the journal lacks on. */
static int put_all(struct watch *w, struct sm_span in)
{
    struct sm_rd rd = SM_RD(in);
    int r = 0;

    while (rd.n && r >= 0) {
        uint32_t n = sm_rd_u32(&rd);
        struct sm_span statement = sm_rd_bytes(&rd, EVSEAL_LEN), body = sm_rd_bytes(&rd, n);
        struct evseal_statement s;
        if (rd.err)
            return -SM_EFORMAT;
        r = evseal_parse(statement.p, &s);
        if (r >= 0)
            r = s.kind == EVSEAL_TOMBSTONE ? evidence_retire(w->journal, statement.p, body) :
                evidence_seal_put(w->journal, statement.p, body);
    }
    return r;
}

static void broken(struct watch *w, int err, const char *text)
{
    sm_error("the record cannot be sealed: %s", text ? text : sm_strerror(err));
    if (!w->broken_seal)
        watch_say(w, json_pack("{ss ss}", "what", "unsealed", "why", text && *text ? text : sm_strerror(err)));
    w->broken_seal = true;
}

static void on_statements(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct watch *w = arg;

    (void)keeper_wait(w); /* the journal is ours again */
    int r = err < 0 ? err : put_all(w, m->body);

    w->sealing = false;
    if (r == -SM_EPEER || r == -SM_EAGAIN || r == -ENOSPC)
        return; /* at the next turn */
    if (r < 0)
        broken(w, r, err < 0 ? text : NULL);
    else
        w->broken_seal = false;
    keeping_go(w);
}

/* kind 0: only what the journal lacks. */
static void ask(struct watch *w, uint8_t kind, struct sm_span body)
{
    struct sm_buf out = SM_BUF_INIT(80 << 10);
    uint8_t hash[32];
    uint64_t have;

    evidence_seal_last(w->journal, &have, hash);
    int r = sm_buf_put_u64(&out, have);
    if (r >= 0)
        r = sm_buf_put_u8(&out, kind);
    if (r >= 0)
        r = sm_buf_put_span(&out, body);
    if (r >= 0)
        r = child_ask(w->c, WHO_KEYD, K_SEAL_SIGN, sm_buf_span(&out), on_statements, w, 0);
    w->sealing = r >= 0;
    sm_buf_wipe(&out);
}

static void on_begun(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct watch *w = arg;

    (void)keeper_wait(w); /* as above */
    int r = err < 0 ? err : m->body.n != 32 ? -SM_EFORMAT : evidence_seal_begin(w->journal, m->body.p);

    w->sealing = false;
    if (r == -SM_EPEER)
        return;
    if (r < 0) {
        broken(w, r, err < 0 ? text : NULL);
        return;
    }
    w->seal_begun = true;
    uint8_t link[EVSEAL_LINK_LEN];
    if (evidence_link(w->journal, link)) /* of a box that was taken over: what it goes on with is its first statement */
        ask(w, EVSEAL_LINK, SM_SPAN(link, sizeof link));
    else
        ask(w, 0, SM_SPAN("", 0));
}

void sealing_attached(struct watch *w)
{
    if (w->sealing)
        return;
    w->sealing = child_ask(w->c, WHO_KEYD, K_SEAL_BEGIN, SM_SPAN("", 0), on_begun, w, CHILD_IDEMPOTENT) >= 0;
}

static bool seal_newest(struct watch *w)
{
    struct evseal_root root;
    uint8_t body[EVSEAL_ROOT_LEN], link[EVSEAL_LINK_LEN];

    if (evidence_link(w->journal, link)) {
        ask(w, EVSEAL_LINK, SM_SPAN(link, sizeof link));
        return true;
    }
    if (evidence_seal_root(w->journal, &root) <= 0)
        return false;
    evseal_root_pack(&root, body);
    ask(w, EVSEAL_BLOCKS, SM_SPAN(body, sizeof body));
    return true;
}

static void retire_one(struct watch *w, uint64_t now_ms)
{
    sm_buf_clear(&w->tombstone);
    int r = evidence_retire_next(w->journal, &w->retention, plat_clock_wall().s, &w->tombstone);

    if (r > 0)
        ask(w, EVSEAL_TOMBSTONE, sm_buf_span(&w->tombstone));
    else
        w->retire_due_ms = now_ms + RETIRE_MS;
    if (r < 0)
        sm_warn("what is old enough to go cannot be found: %s", sm_strerror(r));
}

void sealing_tick(struct watch *w, uint64_t now_ms)
{
    if (!w->seal_begun || w->sealing || !child_peer(w->c, WHO_KEYD)) {
        if (!w->seal_begun && child_peer(w->c, WHO_KEYD))
            sealing_attached(w);
        return;
    }
    if (now_ms >= w->seal_due_ms) {
        w->seal_due_ms = now_ms + SEAL_MS;
        if (seal_newest(w))
            return;
    }
    if (now_ms >= w->retire_due_ms)
        retire_one(w, now_ms);
}

/* [{"class", "days", "bytes"}]; what is not named is kept without limit. */
void sealing_retention(struct watch *w, const json_t *list)
{
    size_t i;
    json_t *row;

    memset(w->retention.of, 0, sizeof w->retention.of);
    json_array_foreach((json_t *)(uintptr_t)list, i, row) {
        json_int_t klass = json_integer_value(json_object_get(row, "class")), days = json_integer_value(json_object_get(row, "days"));
        json_int_t bytes = json_integer_value(json_object_get(row, "bytes"));
        if (klass < 0 || klass >= EVIDENCE_CLASSES_MAX || days < 0 || bytes < 0)
            continue;
        w->retention.of[klass] = (struct evidence_policy){ .days = (uint32_t)days, .bytes = (uint64_t)bytes };
    }
    w->retire_due_ms = 0;
}

/* [{"from_s", "to_s", "source"?, "class"?}]: what a person said must not go, whatever its class is kept for. */
void sealing_holds(struct watch *w, const json_t *list)
{
    size_t i;
    json_t *row;

    w->retention.holds_n = 0;
    json_array_foreach((json_t *)(uintptr_t)list, i, row) {
        const json_t *to = json_object_get(row, "to_s"), *klass = json_object_get(row, "class");
        json_int_t n = json_integer_value(klass), source = json_integer_value(json_object_get(row, "source"));
        struct evidence_hold h = { .from_s = json_integer_value(json_object_get(row, "from_s")), .to_s = json_is_integer(to) ?
            json_integer_value(to) : INT64_MAX, .source = source > 0 ? (uint64_t)source : 0 };
        if (json_is_integer(klass) && n >= 0 && n < EVIDENCE_CLASSES_MAX)
            h.classes = (uint16_t)(1u << n);
        if (w->retention.holds_n == EVIDENCE_HOLDS_MAX) { /* rather too much is kept than too little */
            w->retention.holds[0] = (struct evidence_hold){ .from_s = INT64_MIN, .to_s = INT64_MAX };
            break;
        }
        w->retention.holds[w->retention.holds_n++] = h;
    }
}
