/* What parts tell: events through the rules into the spool, how each of them is. */
#include <errno.h>
#include <stdlib.h>

#include "core/log.h"
#include "plat/clock.h"
#include "sakimori-agent/judge/judge.h"

struct hitting {
    struct judge *j;
    bool urgent, own, log;
};

static uint64_t number_of(struct sm_span s)
{
    char text[24];
    char *end;
    if (!s.n || s.n >= sizeof text)
        return 0;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    uint64_t n = strtoull(text, &end, 10);
    return *end ? 0 : n;
}

static void on_hit(void *ctx, const struct sigma_rule *rule, const struct event *e)
{
    struct hitting *h = ctx;
    struct judge *j = h->j;
    if (rule->level < SIGMA_HIGH)
        return;
    h->urgent = true;
    if (!e || h->own) /* an own fact has a finding of its own, or needs none */
        return;
    const struct cases_hit hit = {.rule = rule,
        .tree = number_of(rules_value(j->rules, e, "Tree")),
        .log = h->log,
        .program = rules_value(j->rules, e, "Image"),
        .line = rules_value(j->rules, e, "CommandLine"),
        .user = h->log ? rules_value(j->rules, e, "username") : rules_value(j->rules, e, "User"),
        .pid = rules_value(j->rules, e, "ProcessId"),
        .parent = rules_value(j->rules, e, "ParentProcessId")};
    cases_hit(j->cases, &hit);
}

static bool has(struct sm_span s, const char *what)
{
    return memmem(s.p, s.n, what, strlen(what)) != NULL;
}

static void line(struct judge *j, struct sm_span text)
{
    struct sm_time now = plat_clock_wall();
    struct hitting h = {.j = j, .own = has(text, "\"service\":\"sakimori\"")};
    const struct event_time at = {.s = now.s, .ns = now.ns};
    if (h.own && has(text, "\"action\":\"ransomware_") && !j->saying)
        return; /* said of the finding, once, whoever found it */
    h.urgent = h.own; /* what the agent says of itself need not wait for others */
    j->lines++;
    judge_look(j, text);
    int r = rules_line(j->rules, text, at, on_hit, &h);
    if (r == 1)
        j->odd++;
    if (r < 0)
        sm_warn("an event was not looked at: %s", sm_strerror(r));
    r = spool_add(j->spool, text, now.s * 1000000000 + now.ns, plat_clock_mono_ms(), h.urgent);
    if (r)
        sm_warn("an event is not kept: %s", sm_strerror(r));
}

static void written(struct judge *j)
{
    int r = spool_write(j->spool);
    if (r)
        sm_warn("events could not be written down: %s", sm_strerror(r)); /* they count as dropped */
    judge_wake(j, 0);
}

void judge_events(struct judge *j, struct sm_span body)
{
    while (body.n) {
        const uint8_t *nl = memchr(body.p, '\n', body.n);
        size_t n = nl ? (size_t)(nl - body.p) : body.n;
        if (n)
            line(j, SM_SPAN(body.p, n));
        n += nl != NULL;
        body = SM_SPAN(body.p + n, body.n - n);
    }
    written(j);
}

static bool take_name(struct sm_rd *r, char ret[64])
{
    size_t n = sm_rd_u8(r);
    if (n >= 64)
        return false;
    sm_rd_copy(r, ret, n);
    ret[n] = 0;
    return !r->err;
}

void judge_log(struct judge *j, struct sm_span body)
{
    const uint32_t cut = 1u << 31; /* of a record's length: logs/cut.h */
    struct sm_rd rd = SM_RD(body);
    char name[64], format[64];
    struct hitting h = {.j = j, .log = true};
    bool good = take_name(&rd, name) && take_name(&rd, format);
    while (good && rd.n && !rd.err) {
        uint32_t n = sm_rd_u32(&rd) & ~cut;
        int64_t seen = (int64_t)sm_rd_u64(&rd);
        struct sm_span record = sm_rd_bytes(&rd, n);
        if (rd.err || seen < 0)
            break;
        const struct event_time at = {.s = seen / 1000000000, .ns = (uint32_t)(seen % 1000000000)};
        int r = rules_log(j->rules, name, format[0] ? format : NULL, record, at, on_hit, &h);
        if (r < 0)
            sm_warn("a line of %s was not looked at: %s", name, sm_strerror(r));
        j->log_lines++;
    }
    j->odd += !good || sm_rd_done(&rd) != 0;
    judge_wake(j, 0);
}

void judge_fact(struct judge *j, const json_t *event)
{
    struct sm_buf b = SM_BUF_INIT(SPOOL_LINE_MAX);
    if (!sm_json_dump(event, &b)) {
        j->saying = true;
        line(j, sm_buf_span(&b));
        j->saying = false;
        written(j);
    }
    sm_buf_wipe(&b);
}

void judge_state(struct judge *j, int peer, struct sm_span body)
{
    json_t *o = NULL;
    if (sm_json_parse(body, E_SENSOR_STATE_MAX, &o, NULL) || !json_is_object(o)) {
        json_decref(o);
        return;
    }
    bool other = !json_equal(o, j->state[peer]);
    json_decref(j->state[peer]);
    j->state[peer] = o;
    if (other)
        judge_tell(j);
}
