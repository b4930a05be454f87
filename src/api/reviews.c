/*
 * The monthly review: what happened in a month, on one page, signed by the director.  The guideline asks that logs are looked at
 * regularly and that it stands on record: what was signed is kept as it was, its hash stands in the vault's journal.
 */
#include <errno.h>
#include <string.h>
#include <time.h>
#include "api/watch.h"
#include "crypto/hash.h"

#define JST_S 32400
#define MONTHS 13
#define LIST_MAX 100

struct month { int year, month; int64_t from_s, until_s; char name[16]; };

static int64_t first_of(int year, int month)
{
    struct tm tm = { .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = 1 };
    return (int64_t)timegm(&tm) - JST_S;
}

static struct month month_of(int year, int month)
{
    struct month m = { .year = year, .month = month, .from_s = first_of(year, month), .until_s = month == 12 ? first_of(year + 1, 1) : first_of(year, month + 1) };
    (void)snprintf(m.name, sizeof m.name, "%04d-%02d", year % 10000, month % 100); /* fits */
    return m;
}

static struct month month_at(int64_t s)
{
    struct sm_civil c;
    sm_time_civil_jst((struct sm_time){ .s = s }, &c);
    return month_of(c.year, c.month);
}

/* "2026-11"; false for anything else. */
static bool month_read(const char *text, struct month *ret)
{
    if (strlen(text) != 7 || text[4] != '-')
        return false;
    int v[2] = { 0, 0 };
    for (int i = 0; i < 7; i++) {
        if (i == 4)
            continue;
        if (text[i] < '0' || text[i] > '9')
            return false;
        v[i > 4] = 10 * v[i > 4] + text[i] - '0';
    }
    if (v[0] < 2020 || v[1] < 1 || v[1] > 12)
        return false;
    *ret = month_of(v[0], v[1]);
    return true;
}

/* ---- what happened ---- */

static json_t *counts(struct api *a, enum state_query q, const struct month *m)
{
    json_t *rows = api_rows(a, q, STATE_ARGS(state_i(m->from_s), state_i(m->until_s))), *row, *out = json_object();
    size_t i;
    json_array_foreach(rows, i, row)
        api_set(out, api_str(row, "name"), json_integer((json_int_t)api_int(row, "n", 0)));
    json_decref(rows);
    return out;
}

static json_t *incidents_of(struct api *a, const struct month *m)
{
    json_t *rows = api_rows(a, STATE_review_incidents, STATE_ARGS(state_i(m->from_s), state_i(m->until_s), state_i(LIST_MAX))), *row, *out = json_array();
    size_t i;
    json_array_foreach(rows, i, row)
        api_append(out, json_pack("{s:O,s:O?,s:O,s:O,s:O?,s:O?,s:O?,s:O?}", "id", json_object_get(row, "id"), "title",
            json_object_get(json_object_get(row, "facts"), "title"), "severity", json_object_get(row, "severity"), "first",
            json_object_get(row, "first"), "closed", json_object_get(row, "closed"), "verdict", json_object_get(row, "verdict"), "note",
            json_object_get(row, "note"), "by", json_object_get(row, "by")));
    json_decref(rows);
    return out;
}

static json_t *review_facts(struct api *a, const struct month *m)
{
    struct state_arg span[2] = { state_i(m->from_s), state_i(m->until_s) };
    return json_pack("{s:i,s:s,s:o,s:o,s:o,s:o,s:o,s:{s:I,s:I},s:{s:I,s:I},s:I,s:I,s:o}", "v", 1, "month", m->name, "incidents", incidents_of(a, m),
        "signals", counts(a, STATE_review_signals, m), "levels", counts(a, STATE_review_levels, m), "alarms", counts(a, STATE_review_alarms, m),
        "runs", counts(a, STATE_review_runs, m), "drills", "passed", (json_int_t)state_number(a->state, STATE_review_drills_ok, 0, span, 2), "failed",
        (json_int_t)state_number(a->state, STATE_review_drills_bad, 0, span, 2), "maintenance", "booked",
        (json_int_t)state_number(a->state, STATE_review_booked, 0, span, 2), "sessions", (json_int_t)state_number(a->state, STATE_review_sessions, 0, span, 2),
        "quiet_rules", (json_int_t)state_number(a->state, STATE_review_quiet, 0, span, 2), "restores",
        (json_int_t)state_number(a->state, STATE_review_restores, 0, span, 2), "log_checks", logcheck_month(a, m->name));
}

/* ---- routes ---- */

static bool over(const struct month *m)
{
    return api_now() >= m->until_s;
}

/* When the box was set up: before that nothing was watched. */
static int64_t since(struct api *a)
{
    return state_number(a->state, STATE_review_since, api_now(), STATE_NONE);
}

void h_reviews(struct api_call *c)
{
    json_t *items = json_array();
    struct month m = month_at(api_now());
    int64_t first_s = since(c->api);
    for (int i = 0; i < MONTHS && m.until_s > first_s; i++) {
        json_t *row = api_row(c->api, STATE_review, STATE_ARGS(state_t(m.name)));
        api_append(items, json_pack("{s:s,s:b,s:b,s:O?,s:O?}", "month", m.name, "over", over(&m), "signed", row != NULL, "by", json_object_get(row, "by"), "at",
            json_object_get(row, "at")));
        json_decref(row);
        m = m.month == 1 ? month_of(m.year - 1, 12) : month_of(m.year, m.month - 1);
    }
    api_reply(c, 200, json_pack("{s:o,s:n}", "items", items, "next"));
}

void h_review(struct api_call *c)
{
    struct month m;
    if (!month_read(c->part[0], &m)) {
        api_fail(c, 404, "not_found", NULL, NULL);
        return;
    }
    json_t *row = api_row(c->api, STATE_review, STATE_ARGS(state_t(m.name)));
    json_t *facts = row ? json_incref(json_object_get(row, "facts")) : review_facts(c->api, &m), *one;
    json_t *out = json_deep_copy(facts);
    size_t i;
    json_array_foreach(json_object_get(out, "incidents"), i, one) {
        const char *title = both_in(json_object_get(one, "title"), c->lang);
        api_set(one, "title", json_string(title));
    }
    api_set(out, "over", json_boolean(over(&m)));
    api_set(out, "signed", row ? json_pack("{s:O,s:O,s:O,s:O?}", "by", json_object_get(row, "by"), "at", json_object_get(row, "at"), "hash",
        json_object_get(row, "hash"), "note", json_object_get(row, "note")) : json_null());
    json_decref(facts);
    json_decref(row);
    api_reply(c, 200, out);
}

static void sign(struct api_call *c)
{
    struct month m;
    uint8_t h[CRYPTO_SHA256_LEN];
    char hash[2 * CRYPTO_SHA256_LEN + 1], why[160];
    struct sm_buf text = SM_BUF_INIT((size_t)1 << 20);
    if (!month_read(c->part[0], &m))
        return; /* it was read before */
    json_t *facts = review_facts(c->api, &m);
    int r = facts ? sm_json_dump(facts, &text) : -ENOMEM;
    if (r < 0) {
        api_fail_err(c, r, NULL);
    } else {
        crypto_sha256(sm_buf_span(&text), h);
        sm_hex(h, sizeof h, hash);
        if (api_do(c, STATE_review_add, STATE_ARGS(state_t(m.name), state_j(facts), state_t(hash), state_t(c->who.name), state_i(api_now()),
                state_t(api_str(c->body, "note"))))) {
            (void)snprintf(why, sizeof why, "review of %s sha256 %s", m.name, hash); /* fits */
            access_note(c->api, json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "what", "review", "who", c->who.account, "role", c->who.role, "from", c->who.remote,
                "why", why, "result", "signed"));
            api_audit_what(c, "%s %s", m.name, hash);
            api_event(c->api, "today", "", json_object());
            api_reply(c, 200, json_pack("{s:s}", "hash", hash));
        }
    }
    sm_buf_wipe(&text);
    json_decref(facts);
}

void h_review_sign(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *password = sm_obj_str(&o, "password", 1, 1000);
    struct month m;
    (void)sm_obj_str_opt(&o, "note", 1000);
    if (api_refused(c, &o))
        return;
    if (!month_read(c->part[0], &m)) {
        api_fail(c, 404, "not_found", NULL, NULL);
        return;
    }
    json_t *row = api_row(c->api, STATE_review, STATE_ARGS(state_t(m.name)));
    bool before = m.until_s <= since(c->api);
    api_audit_what(c, "%s", m.name);
    if (row || before || !over(&m))
        api_fail_say(c, 409, "conflict", NULL, text_get(c->lang, row ? T_REVIEW_SIGNED : before ? T_REVIEW_BEFORE : T_REVIEW_NOT_OVER), NULL);
    else
        owner_check(c, password, sign);
    json_decref(row);
}
