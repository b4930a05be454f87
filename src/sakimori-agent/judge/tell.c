/* To the box, through link: batches of events one after the other, findings beside them, and how the endpoint is. */
#include <errno.h>
#include <stdlib.h>

#include "core/log.h"
#include "core/time.h"
#include "plat/clock.h"
#include "sakimori-agent/judge/judge.h"

enum { BACKOFF_MIN_MS = 1000, BACKOFF_MAX_MS = 30000, TOLD_AGAIN_MS = 10000, SAID_MAX = 28 << 10 };
#define POST_JSON 1
#define POST_RAW 2

static uint64_t now_ms(void)
{
    return plat_clock_mono_ms();
}

static int64_t wall_ms(void)
{
    struct sm_time t = plat_clock_wall();
    return t.s * 1000 + t.ns / 1000000;
}

static int call(struct judge *j, uint8_t method, const char *path, struct sm_span body, sm_ipc_answer_fn fn, void *arg)
{
    struct sm_buf b = SM_BUF_INIT(SM_IPC_BODY_MAX);
    int r = !j->link ? -SM_EPEER : sm_buf_put_u8(&b, method);
    if (!r)
        r = sm_buf_put_u16(&b, (uint16_t)strlen(path));
    if (!r)
        r = sm_buf_put_span(&b, SM_SPAN_STR(path));
    if (!r)
        r = sm_buf_put_span(&b, body);
    if (!r)
        r = sm_ipc_ask(j->link, L_CALL, sm_buf_span(&b), -1, fn, arg);
    sm_buf_wipe(&b);
    return r;
}

static int status_of(int err, const struct sm_ipc_msg *m)
{
    return err ? err : m->body.n >= 2 ? m->body.p[0] | m->body.p[1] << 8 : -SM_EPROTO;
}

/* ---- events ---- */

/* What had no room is said, in the same log. */
static void say_dropped(struct judge *j)
{
    struct spool_counts n;
    char at[40];
    spool_counts(j->spool, &n);
    if (!n.untold)
        return;
    cases_time(wall_ms(), at);
    json_t *e = json_pack("{s:i,s:s,s:s,s:s,s:s,s:I}", "v", 1, "at", at, "service", "sakimori", "action", "overflow", "What", "spool", "Lost",
        (json_int_t)n.untold);
    spool_told(j->spool, n.untold);
    if (e)
        judge_fact(j, e);
    json_decref(e);
}

static void batch_answered(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct judge *j = arg;
    (void)text;
    if (!err && (m->flags & SM_IPC_MORE))
        return;
    int status = status_of(err, m);
    j->sending = false;
    if (status == 200 || status == 400 || status == 413) {
        if (status != 200)
            sm_error("the box does not take a batch of events (%d): it is left out", status);
        spool_settled(j->spool, status == 200);
        j->backoff_ms = j->not_before_ms = 0;
    } else {
        j->backoff_ms = !j->backoff_ms ? BACKOFF_MIN_MS : j->backoff_ms * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS : j->backoff_ms * 2;
        j->not_before_ms = now_ms() + j->backoff_ms;
    }
    judge_wake(j, 0);
}

static uint64_t send_batch(struct judge *j)
{
    struct spool_batch b;
    char path[L_PATH_MAX];
    uint64_t now = now_ms(), wait = UINT64_MAX;
    if (j->sending || !j->link)
        return UINT64_MAX;
    if (now < j->not_before_ms)
        return j->not_before_ms - now;
    say_dropped(j);
    int r = spool_next(j->spool, now, &b, &wait);
    if (r == 0)
        return wait;
    if (r < 0) {
        sm_warn("events could not be read again: %s", sm_strerror(r));
        return BACKOFF_MIN_MS;
    }
    snprintf(path, sizeof path, "/agent/v1/events?stream=endpoint&life=%s&number=%llu", b.life, (unsigned long long)b.number);
    j->sending = true;
    r = call(j, POST_RAW, path, b.bytes, batch_answered, j);
    if (r) {
        j->sending = false;
        j->not_before_ms = now + BACKOFF_MIN_MS;
        return BACKOFF_MIN_MS;
    }
    return UINT64_MAX;
}

uint64_t judge_send(struct judge *j)
{
    uint64_t cases = cases_go(j->cases), batch = send_batch(j);
    return cases < batch ? cases : batch;
}

/* ---- findings ---- */

struct asked {
    struct judge *j;
    char id[17];
    unsigned act;
};

static struct asked *asked_new(struct judge *j, const char *id, unsigned act)
{
    struct asked *a = calloc(1, sizeof *a);
    if (a) {
        a->j = j;
        a->act = act;
        snprintf(a->id, sizeof a->id, "%.16s", id);
    }
    return a;
}

static void finding_answered(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct asked *a = arg;
    (void)text;
    if (!err && (m->flags & SM_IPC_MORE))
        return;
    cases_answered(a->j->cases, a->id, status_of(err, m));
    judge_wake(a->j, 0);
    free(a);
}

static int post(void *ctx, const char *id, struct sm_span body)
{
    struct judge *j = ctx;
    struct asked *a = asked_new(j, id, 0);
    int r = a ? call(j, POST_JSON, "/agent/v1/findings", body, finding_answered, a) : -ENOMEM;
    if (r)
        free(a);
    return r;
}

static void acted(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct asked *a = arg;
    sm_cleanup(sm_json_free) json_t *o = NULL;
    bool gone = err && !m;
    if (err && m && text)
        sm_warn("%s was refused: %s", a->id, text);
    if (!err && sm_json_parse(m->body, E_DO_MAX, &o, NULL))
        o = NULL;
    cases_acted(a->j->cases, a->id, a->act, err, gone, o);
    judge_wake(a->j, 0);
    free(a);
}

static int ask(void *ctx, const char *id, unsigned act, struct sm_span body)
{
    struct judge *j = ctx;
    struct asked *a = asked_new(j, id, act);
    int r = !a ? -ENOMEM : !j->peer[JUDGE_ACTOR] ? -SM_EPEER : sm_ipc_ask(j->peer[JUDGE_ACTOR], E_DO, body, -1, acted, a);
    if (r)
        free(a);
    return r;
}

static int tree(void *ctx, uint64_t number, const char *what)
{
    struct judge *j = ctx;
    char text[E_TREE_MAX];
    snprintf(text, sizeof text, "{\"tree\":%llu,\"do\":\"%s\"}", (unsigned long long)number, what);
    return j->peer[JUDGE_SENSOR] ? sm_ipc_send(j->peer[JUDGE_SENSOR], E_TREE, SM_SPAN_STR(text), -1) : -SM_EPEER;
}

static void fact(void *ctx, const json_t *event)
{
    judge_fact(ctx, event);
}

const struct cases_ways judge_ways = {.post = post, .ask = ask, .tree = tree, .event = fact, .now_ms = now_ms, .wall_ms = wall_ms};

/* ---- how it is ---- */

static json_t *own_state(const struct judge *j)
{
    struct rules_counts rules;
    struct spool_counts spool;
    struct cases_counts cases;
    rules_counts(j->rules, &rules);
    spool_counts(j->spool, &spool);
    cases_counts(j->cases, &cases);
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:{s:I,s:I,s:I},s:{s:I,s:I,s:I},s:s}", "rules", (json_int_t)rules.rules, "faults",
        (json_int_t)rules.faults, "events", (json_int_t)j->lines, "log_lines", (json_int_t)j->log_lines, "odd", (json_int_t)j->odd, "hits", (json_int_t)rules.hits, "spool", "bytes",
        (json_int_t)spool.bytes, "batches", (json_int_t)spool.batches, "dropped", (json_int_t)spool.dropped, "findings", "open",
        (json_int_t)cases.open, "untold", (json_int_t)cases.untold, "lost", (json_int_t)cases.lost, "refused", j->refused);
}

/* Changes of the parts at once, counts with the next poll but one. */
void judge_tell(struct judge *j)
{
    struct sm_buf b = SM_BUF_INIT(SAID_MAX);
    json_t *o = json_pack("{s:I,s:o}", "number", (json_int_t)j->policy.number, "judge", own_state(j));
    for (int i = 0; i <= JUDGE_PEERS && o; i++)
        json_object_set_new(o, judge_peer_names[i], j->state[i] ? json_incref(j->state[i]) : json_null());
    j->told_ms = now_ms();
    int r = o ? sm_json_dump(o, &b) : -ENOMEM;
    if (r == -SM_ELIMIT) { /* somebody says more than fits: without those that are least needed */
        for (int i = JUDGE_INSPECT; i <= JUDGE_PEERS; i++)
            json_object_set_new(o, judge_peer_names[i], json_null());
        sm_buf_clear(&b);
        r = sm_json_dump(o, &b);
    }
    if (!r && j->link && !json_equal(o, j->told) && !sm_ipc_send(j->link, L_ENDPOINT, sm_buf_span(&b), -1)) {
        json_decref(j->told);
        j->told = json_incref(o);
    }
    json_decref(o);
    sm_buf_wipe(&b);
}
