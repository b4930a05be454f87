/*
 * Playbooks: when an incident is like this, do that: each step by itself, or after one click.  Plans come from the room respond
 * (api_config.respond); here they are offered, carried out, taken back, and written down: every step is a line of the audit log.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "api/device_actions.h"
#include "api/notify.h"
#include "api/watch.h"

#define STEPS_MAX 12
#define PLAYBOOKS_MAX 100
#define OFFER_S ((int64_t)7 * 86400)
#define WHY 200
#define BLOCKS_A_DAY 50             /* by API: a rule that is fooled closes no more of the world */

static int respond(struct api *a, const char *what, json_t *in /* taken */, json_t **ret, char ret_why[WHY])
{
    json_t *out = NULL;
    ret_why[0] = 0;
    int r = !in ? -ENOMEM : a->cfg.respond ? a->cfg.respond(what, in, &out, ret_why) : -SM_EUNSUPPORTED;
    json_decref(in);
    if (ret && r >= 0)
        *ret = out;
    else
        json_decref(out);
    return r;
}

/* Reasons come in English, some behind the name of a parameter; people read them in their own language. */
static const char *why_ja(const char *why, char ret[WHY])
{
    static const struct { const char *en, *ja; } words[] = {
        { "no such action", "そういう手順はありません" },
        { "a text of 1 to 1,000 bytes", "1文字以上で入れてください" },
        { "not one of those that are known", "選べるものの中にありません" },
        { "not a parameter of this action", "この手順にはない項目です" },
        { "no IPv4 address of the outside in this incident", "この件には、外のアドレスがありません" },
        { "an IPv4 address of the inside", "院内のIPv4アドレスを入れてください" },
        { "1 to 168", "1から168までの時間です" },
        { "1 to 65535", "1から65535までの番号です" },
        { "an IPv4 address of the outside", "外のIPv4アドレスを入れてください" },
        { "built-in accounts only: change their passwords", "この件の利用者は、作り付けの管理者だけです。止めずに、パスワードを変えてください" },
        { "no account in this incident", "この件には、利用者の名前がありません" },
        { "letters, digits and . _ - @ only", "英数字と . _ - @ だけを使えます" },
        { "no machine of this box in this incident", "この件に、この箱が保存する機器がありません" },
        { "1 to 20 addresses", "宛先は1件から20件です" },
        { "must begin with https://", "https:// で始めてください" },
        { "one of the known places: it is never blocked", "知っている送り先なので、止めません" },
        { "not an address that can be reached", "送れないアドレスです" },
        { "auto or click", "auto か click です" },
        { "60 seconds to 30 days", "60秒から30日までです" },
        { "at least one step", "手順が1つはいります" },
        { "severity is look or call", "severity は look か call です" },
        { "stages are those of ATT&CK, as initial-access", "stages は ATT&CK の段階の名前です(initial-access など)" },
    };
    const char *colon = strstr(why, ": "), *said = why;
    for (size_t i = 0; i < 2 * (sizeof words / sizeof *words); i++) {
        size_t k = i % (sizeof words / sizeof *words);
        if (i >= sizeof words / sizeof *words)
            said = colon ? colon + 2 : "";
        if (strcmp(said, words[k].en) != 0)
            continue;
        (void)snprintf(ret, WHY, "%.*s%s%.110s", said == why ? 0 : (int)(said - why - 2), why, said == why ? "" : ": ", words[k].ja); /* fits */
        return ret;
    }
    return why;
}

static const char *why_in(enum text_lang lang, const char *why, char ret[WHY])
{
    return lang == TEXT_JA ? why_ja(why, ret) : why;
}

json_t *device_of_host(struct api *a, const char *host)
{
    json_t *rows = api_rows(a, STATE_devices_joined, STATE_NONE), *row, *found = NULL;
    size_t i;
    json_array_foreach(rows, i, row) {
        const char *name = api_str(row, "hostname");
        size_t n = strcspn(name, ".");
        if (!found && ((strlen(host) == n && strncasecmp(name, host, n) == 0) || !strcmp(api_str(row, "name"), host)))
            found = json_incref(row);
    }
    json_decref(rows);
    return found;
}

/* The incident with those of its machines alone that this box looks after: only they have backups to hold or to make. */
static json_t *with_own_machines(struct api *a, const json_t *incident)
{
    json_t *out = json_object(), *list = json_array(), *row;
    size_t i;
    json_object_update(out, (json_t *)incident);
    json_array_foreach(json_object_get(incident, "entities"), i, row) {
        const char *kind = json_string_value(json_array_get(row, 0)), *text = json_string_value(json_array_get(row, 1));
        json_t *d = kind && text && !strcmp(kind, "host") ? device_of_host(a, text) : NULL;
        if (d || (kind && strcmp(kind, "host") != 0))
            json_array_append(list, row);
        json_decref(d);
    }
    api_set(out, "entities", list);
    return out;
}

/* A plan; never one that cuts off a place the institution needs. */
static int plan_of(struct api *a, const json_t *step, const json_t *incident, json_t **ret, char ret_why[WHY])
{
    json_t *plan = NULL;
    int r = respond(a, "plan", json_pack("{s:O,s:O?,s:o}", "action", json_object_get(step, "action"), "params", json_object_get(step, "params"),
        "incident", with_own_machines(a, incident)), &plan, ret_why);
    const char *address = api_str(plan, "address");
    if (r >= 0 && *address && places_know(a, address)) {
        (void)snprintf(ret_why, WHY, "%.60s: one of the known places: it is never blocked", address);
        json_decref(plan);
        return -SM_EDENIED;
    }
    if (r >= 0)
        *ret = plan;
    return r;
}

/* Who did it, for the record: a person of a call, or a playbook by itself. */
struct doer { const char *who, *role, *from; };

static void note_step(struct api *a, const struct doer *by, const char *act, const json_t *row, const char *result)
{
    char what[400];
    (void)snprintf(what, sizeof what, "incident %" PRId64 " step %" PRId64 " %.40s: %.200s", api_int(row, "incident", 0), api_int(row, "id", 0),
        api_str(row, "action"), api_str(json_object_get(row, "plan"), "en")); /* cut is enough */
    const struct audit_entry e = { .who = by->who, .role = by->role, .from = by->from, .act = act, .what = what, .result = result };
    if (audit_add(a->audit, &e) < 0)
        return; /* a broken audit log has an alarm of its own */
    char id[32];
    (void)snprintf(id, sizeof id, "%" PRId64, api_int(row, "incident", 0)); /* fits */
    api_event(a, "incident", id, json_pack("{s:O}", "id", json_object_get(row, "incident")));
}

/* ---- effects ---- */

static const char *do_mail(struct api *a, const json_t *plan, const json_t *incident, bool undo)
{
    enum text_lang lang = api_box_lang(a);
    const char *title = both_in(json_object_get(incident, "title"), lang);
    (void)undo;
    /* What a log says of itself is not put in front: the number is enough to find it. */
    json_t *subject = json_sprintf(lang == TEXT_JA ? "Sakimori: 第%lld号" : "Sakimori: incident %lld", (long long)api_int(incident, "id", 0));
    json_t *text = json_sprintf("%s\n\n%s\n", title, api_str(plan, "words"));
    outbox_put(a, "mail", json_pack("{s:O,s:o,s:o}", "to", json_object_get(plan, "to"), "subject", subject, "text", text));
    return "done";
}

static const char *do_webhook(struct api *a, const json_t *plan, const json_t *incident, bool undo)
{
    (void)undo;
    outbox_put(a, "webhook", json_pack("{s:s,s:{s:i,s:O}}", "url", api_str(plan, "url"), "json", "v", 1, "incident", incident));
    return "done";
}

/* RFC 5424, facility "log audit": alert for one to telephone for, warning else. */
static const char *do_syslog(struct api *a, const json_t *plan, const json_t *incident, bool undo)
{
    (void)undo;
    json_t *now = api_time(api_now());
    struct sm_buf text = SM_BUF_INIT(4096);
    int r = notify_syslog(api_int(incident, "id", 0), !strcmp(api_str(incident, "severity"), "call"), json_string_value(now),
        both_in(json_object_get(incident, "title"), api_box_lang(a)), &text);
    const char *s = r == 0 ? sm_buf_str(&text) : NULL;
    if (s)
        outbox_put(a, "syslog", json_pack("{s:O,s:O,s:s}", "server", json_object_get(plan, "server"), "port", json_object_get(plan, "port"), "text", s));
    sm_buf_wipe(&text);
    json_decref(now);
    return s ? "done" : "failed";
}

/* Told to the firewall's API; whether it took it comes later (response_result). */
static const char *do_firewall(struct api *a, const json_t *plan, const json_t *incident, bool undo)
{
    (void)incident;
    if (!undo && places_know(a, api_str(plan, "address"))) /* known since it was offered */
        return "failed";
    if (!undo && state_number(a->state, STATE_responses_blocking, 0, STATE_ARGS(state_i(api_now() - 86400))) >= BLOCKS_A_DAY)
        return "failed";
    json_t *body = json_deep_copy(json_object_get(plan, undo ? "undo_request" : "request"));
    api_set(body, "response", json_incref(json_object_get(plan, "response")));
    api_set(body, "undo", json_boolean(undo));
    api_set(body, "tries", json_integer(2));
    outbox_put(a, "firewall", body);
    return undo ? "undone" : "done";
}

/* A person does it; the screen shows what, and asks whether it is done. */
static const char *do_by_hand(struct api *a, const json_t *plan, const json_t *incident, bool undo)
{
    (void)a;
    (void)plan;
    (void)incident;
    return undo ? "undone" : "todo";
}

/* What a plan says of one machine is done for each it names; "host" is how older plans name the only one. */
static const char *on_machines(struct api *a, const json_t *plan, const char *done, size_t (*fn)(struct api *a, const json_t *device, const void *arg), const void *arg)
{
    const json_t *hosts = json_object_get(plan, "hosts");
    size_t n = 0, all = hosts ? json_array_size(hosts) : 1;
    for (size_t i = 0; i < all; i++) {
        const char *host = hosts ? json_string_value(json_array_get(hosts, i)) : api_str(plan, "host");
        json_t *d = device_of_host(a, host ? host : "");
        n += d ? fn(a, d, arg) : 0;
        json_decref(d);
    }
    return n ? done : "failed";
}

struct hold { bool undo; const char *reason; };

static size_t hold_one(struct api *a, const json_t *d, const void *arg)
{
    const struct hold *h = arg;
    api_tell(a, h->undo ? "V_THAW" : "V_FREEZE",
        h->undo ? json_pack("{s:s,s:s,s:s,s:b}", "client", api_str(d, "client"), "reason", h->reason, "by", "playbook", "false_alarm", 0)
                : json_pack("{s:s,s:s,s:s}", "client", api_str(d, "client"), "reason", h->reason, "by", "playbook"), NULL, NULL);
    return 1;
}

static const char *do_freeze(struct api *a, const json_t *plan, const json_t *incident, bool undo)
{
    char reason[80];
    (void)snprintf(reason, sizeof reason, "incident %" PRId64, api_int(incident, "id", 0)); /* fits */
    return on_machines(a, plan, undo ? "undone" : "done", hold_one, &(struct hold){ .undo = undo, .reason = reason });
}

static size_t save_one(struct api *a, const json_t *d, const void *arg)
{
    json_t *rows = api_rows(a, STATE_sources_of_device, STATE_ARGS(state_t(api_str(d, "id")))), *row;
    size_t i, begun = 0;
    (void)arg;
    json_array_foreach(rows, i, row) {
        char run[API_ID_TEXT];
        begun += run_make(a, row, "adhoc", NULL, run) >= 0;
    }
    json_decref(rows);
    return begun;
}

static const char *do_backup(struct api *a, const json_t *plan, const json_t *incident, bool undo)
{
    (void)incident;
    (void)undo;
    return on_machines(a, plan, "done", save_one, NULL);
}

/* An order for the agent of each machine. */
struct told { const json_t *plan; bool undo; };

/* Every case of this machine that still runs. */
static size_t kill_all(struct api *a, const json_t *d)
{
    json_t *rows = api_rows(a, STATE_findings_running, STATE_ARGS(state_t(api_str(d, "id")))), *row;
    size_t i, n = 0;
    json_array_foreach(rows, i, row) {
        char id[API_ID_TEXT];
        const char *field;
        json_t *args = finding_action_args(row, "kill", NULL);
        n += !device_action_make(a, &(struct device_action_new){ .device = api_str(d, "id"), .action = "kill", .args = args, .finding = api_str(row, "id") }, id, &field);
        json_decref(args);
    }
    json_decref(rows);
    return n;
}

static size_t machine_one(struct api *a, const json_t *d, const void *arg)
{
    const struct told *t = arg;
    const char *action = api_str(t->plan, t->undo ? "machine_undo" : "machine_action"), *field;
    char id[API_ID_TEXT];
    if (!strcmp(action, "kill"))
        return kill_all(a, d);
    return !device_action_make(a, &(struct device_action_new){ .device = api_str(d, "id"), .action = action,
        .args = json_object_get(t->plan, "args"), .for_s = t->undo ? 0 : api_int(t->plan, "for_s", 0) }, id, &field);
}

static const char *do_machine(struct api *a, const json_t *plan, const json_t *incident, bool undo)
{
    (void)incident;
    if (!undo && *api_str(plan, "address") && places_know(a, api_str(plan, "address"))) /* known since it was offered */
        return "failed";
    return on_machines(a, plan, undo ? "undone" : "done", machine_one, &(struct told){ plan, undo });
}

static const char *carry_out(struct api *a, const json_t *plan, const json_t *incident, bool undo)
{
    static const struct { const char *effect; const char *(*fn)(struct api *a, const json_t *plan, const json_t *incident, bool undo); } table[] = {
        { "mail", do_mail }, { "webhook", do_webhook }, { "syslog", do_syslog }, { "firewall", do_firewall }, { "task", do_by_hand }, { "commands", do_by_hand }, { "freeze", do_freeze }, { "backup", do_backup }, { "machine", do_machine },
    };
    for (size_t k = 0; k < sizeof table / sizeof *table; k++)
        if (!strcmp(table[k].effect, api_str(plan, "effect")))
            return table[k].fn(a, plan, incident, undo);
    return "failed";
}

static void step_do(struct api *a, const json_t *row, const json_t *incident, bool undo, const struct doer *by)
{
    api_set(json_object_get(row, "plan"), "response", json_incref(json_object_get(row, "id"))); /* for what answers later */
    const char *state = carry_out(a, json_object_get(row, "plan"), incident, undo);
    (void)!state_do(a->state, STATE_response_state, STATE_ARGS(state_t(state), state_t(by->who), state_i(api_now()), state_i(api_int(row, "id", 0))));
    note_step(a, by, undo ? "response.undo" : "response.do", row, state);
}

void response_result(struct api *a, const char *message, bool ok)
{
    json_t *sent = api_row(a, STATE_outbox_get, STATE_ARGS(state_t(message))), *body = json_object_get(sent, "body");
    json_t *row = api_row(a, STATE_response, STATE_ARGS(state_i(api_int(body, "response", 0))));
    bool undo = api_bool(body, "undo");
    const struct doer by = { .who = "sakimori", .role = "box", .from = "firewall" };
    const char *state = !ok ? "failed" : undo ? "undone" : "done";
    if (row) {
        (void)!state_do(a->state, STATE_response_state, STATE_ARGS(state_t(state), state_t(*api_str(row, "by") ? api_str(row, "by") : by.who),
            state_i(api_now()), state_i(api_int(row, "id", 0))));
        note_step(a, &by, undo ? "response.undo" : "response.do", row, state);
    }
    json_decref(row);
    json_decref(sent);
}

/* ---- when an incident opens or grows ---- */

static bool in_list(const json_t *list, const char *word)
{
    size_t i;
    const json_t *v;
    json_array_foreach(list, i, v)
        if (json_is_string(v) && !strcmp(json_string_value(v), word))
            return true;
    return false;
}

static bool fits(const json_t *when, const json_t *incident)
{
    const json_t *severity = json_object_get(when, "severity"), *stages = json_object_get(when, "stages"), *v;
    bool stage = json_array_size(stages) == 0;
    size_t i;
    if (json_array_size(severity) && !in_list(severity, api_str(incident, "severity")))
        return false;
    json_array_foreach(json_object_get(incident, "stages"), i, v)
        stage |= in_list(stages, json_string_value(v) ? json_string_value(v) : "");
    return stage;
}

static void offer_step(struct api *a, const json_t *playbook, const json_t *step, size_t n, const json_t *incident)
{
    char why[WHY], ja[WHY];
    json_t *plan = NULL;
    bool automatic = !strcmp(api_str(step, "mode"), "auto");
    int r = plan_of(a, step, incident, &plan, why);
    if (r < 0)
        plan = json_pack("{s:s,s:s,s:s}", "effect", "none", "en", why, "ja", why_ja(why, ja)); /* said, so that a playbook that cannot is seen */
    int64_t limit = api_int(step, "limit_s", OFFER_S);
    if (state_do(a->state, STATE_response_add,
            STATE_ARGS(state_i(api_int(incident, "id", 0)), state_t(api_str(playbook, "id")), state_i((int64_t)n), state_t(api_str(step, "action")),
                state_t(automatic ? "auto" : "click"), state_j(plan), state_t(r < 0 ? "failed" : "offered"), state_i(api_now()),
                state_i(api_now() + limit))) > 0 && r >= 0 && automatic) {
        json_t *row = api_row(a, STATE_response_last, STATE_NONE);
        const struct doer by = { .who = "sakimori", .role = "box", .from = "playbook" };
        step_do(a, row, incident, false, &by);
        json_decref(row);
    }
    json_decref(plan);
}

/* Was this step of the playbook nothing but impossible so far? */
static bool never_possible(const json_t *responses, const char *playbook, int64_t n)
{
    const json_t *row;
    size_t i;
    json_array_foreach(responses, i, row)
        if (!strcmp(api_str(row, "playbook"), playbook) && api_int(row, "n", 0) == n && strcmp(api_str(json_object_get(row, "plan"), "effect"), "none") != 0)
            return false;
    return true;
}

/* A step that could not be planned when the playbook began (nobody knew a machine, or an address) is offered as soon as it can be. */
static void offer_late(struct api *a, const json_t *book, const json_t *incident)
{
    json_t *made = api_rows(a, STATE_responses, STATE_ARGS(state_i(api_int(incident, "id", 0)))), *step;
    size_t k;
    json_array_foreach(json_object_get(book, "steps"), k, step) {
        char why[WHY];
        json_t *plan = NULL;
        if (never_possible(made, api_str(book, "id"), (int64_t)k + 1) && plan_of(a, step, incident, &plan, why) >= 0)
            offer_step(a, book, step, k + 1, incident);
        json_decref(plan);
    }
    json_decref(made);
}

void playbooks_on(struct api *a, const json_t *incident, bool begin)
{
    json_t *rows = api_rows(a, STATE_playbooks_on, STATE_NONE), *book, *step;
    size_t i, k;
    json_array_foreach(rows, i, book) {
        if (state_number(a->state, STATE_responses_made, 0, STATE_ARGS(state_i(api_int(incident, "id", 0)), state_t(api_str(book, "id")))) > 0) {
            offer_late(a, book, incident); /* it began; each step of it once */
            continue;
        }
        if (!begin || !fits(json_object_get(book, "when"), incident))
            continue;
        json_array_foreach(json_object_get(book, "steps"), k, step)
            offer_step(a, book, step, k + 1, incident);
    }
    json_decref(rows);
}

json_t *responses_of(struct api *a, int64_t incident, enum text_lang lang)
{
    json_t *rows = api_rows(a, STATE_responses, STATE_ARGS(state_i(incident))), *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        const json_t *plan = json_object_get(row, "plan");
        bool late = !strcmp(api_str(row, "state"), "offered") && api_int(row, "until_s", 0) < api_now();
        api_set(row, "text", json_string(api_str(plan, lang == TEXT_JA ? "ja" : "en")));
        if (late)
            api_set(row, "state", json_string("expired"));
        (void)json_object_del(row, "until_s");
    }
    return rows;
}

/* ---- routes: one step ---- */

void h_response_act(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *act = sm_obj_str(&o, "do", 1, 8);
    if (api_refused(c, &o))
        return;
    json_t *row = api_row(c->api, STATE_response, STATE_ARGS(state_i(strtoll(c->part[0], NULL, 10))));
    json_t *in = row ? api_row(c->api, STATE_incident, STATE_ARGS(state_i(api_int(row, "incident", 0)))) : NULL;
    const char *state = api_str(row, "state");
    const struct doer by = { .who = c->who.account, .role = c->who.role, .from = c->who.remote };
    bool offered = !strcmp(state, "offered") && api_int(row, "until_s", 0) >= api_now();
    /* What a device did not answer may be done all the same, and a way back that failed is tried again. */
    const json_t *plan = json_object_get(row, "plan");
    bool undoable = api_bool(plan, "undo") && (!strcmp(state, "done") || !strcmp(state, "todo") ||
                        (!strcmp(state, "failed") && json_is_object(json_object_get(plan, "undo_request"))));
    api_audit_what(c, "step %s %s", c->part[0], act);
    if (!in) {
        api_fail(c, 404, "not_found", NULL, NULL);
    } else if (!strcmp(act, "run") && offered) {
        step_do(c->api, row, json_object_get(in, "facts"), false, &by);
        api_reply(c, 200, json_object());
    } else if (!strcmp(act, "undo") && undoable) {
        step_do(c->api, row, json_object_get(in, "facts"), true, &by);
        api_reply(c, 200, json_object());
    } else if ((!strcmp(act, "done") && !strcmp(state, "todo")) || (!strcmp(act, "skip") && (offered || !strcmp(state, "todo")))) {
        const char *next = !strcmp(act, "done") ? "done" : "skipped";
        if (api_do(c, STATE_response_state, STATE_ARGS(state_t(next), state_t(by.who), state_i(api_now()), state_i(api_int(row, "id", 0))))) {
            note_step(c->api, &by, "response.say", row, next);
            api_reply(c, 200, json_object());
        }
    } else if (strcmp(act, "run") != 0 && strcmp(act, "undo") != 0 && strcmp(act, "done") != 0 && strcmp(act, "skip") != 0) {
        api_fail(c, 400, "bad_request", "do", NULL);
    } else {
        api_fail(c, 409, "conflict", NULL, NULL);
    }
    json_decref(row);
    json_decref(in);
}

/* ---- routes: playbooks ---- */

void h_playbooks(struct api_call *c)
{
    char why[WHY];
    json_t *actions = NULL;
    if (respond(c->api, "actions", json_object(), &actions, why) < 0)
        actions = json_pack("{s:[]}", "items");
    json_t *a;
    size_t i;
    json_array_foreach(json_object_get(actions, "items"), i, a) {
        json_t *p;
        size_t k;
        const char *title = both_in(json_object_get(a, "title"), c->lang);
        api_set(a, "title", json_string(title));
        json_array_foreach(json_object_get(a, "params"), k, p) {
            const char *t = both_in(json_object_get(p, "title"), c->lang);
            api_set(p, "title", json_string(t));
        }
    }
    api_reply(c, 200, json_pack("{s:o,s:O,s:n}", "items", api_rows(c->api, STATE_playbooks, STATE_NONE), "actions", json_object_get(actions, "items"), "next"));
    json_decref(actions);
}

/* Mail and web hook by the same rules as in the settings: what cannot be sent is refused now, not when it is needed. */
static bool reachable(struct api *a, const char *action, json_t *params, char why[WHY])
{
    json_t *plan = NULL, *to;
    bool ok = true;
    size_t i;
    if (strcmp(action, "mail") != 0 && strcmp(action, "webhook") != 0)
        return true;
    if (respond(a, "plan", json_pack("{s:s,s:O,s:{}}", "action", action, "params", params, "incident"), &plan, why) < 0)
        return false;
    json_array_foreach(json_object_get(plan, "to"), i, to)
        ok = ok && notify_address_ok(json_string_value(to));
    if (json_object_get(plan, "url"))
        ok = ok && notify_url_ok(api_str(plan, "url"));
    if (!ok)
        (void)snprintf(why, WHY, "not an address that can be reached");
    json_decref(plan);
    return ok;
}

/* NULL when all is well, else the field that is not (and why, in English). */
static const char *bad_step(struct api_call *c, const json_t *step, char why[WHY])
{
    const char *mode = api_str(step, "mode");
    int64_t limit = api_int(step, "limit_s", OFFER_S);
    (void)snprintf(why, WHY, "auto or click");
    if (strcmp(mode, "auto") != 0 && strcmp(mode, "click") != 0)
        return "steps.mode";
    (void)snprintf(why, WHY, "60 seconds to 30 days");
    if (limit < 60 || limit > 30 * 86400)
        return "steps.limit_s";
    json_t *given = json_object_get(step, "params"), *params = given ? json_incref(given) : json_object();
    int r = respond(c->api, "check", json_pack("{s:s,s:O}", "action", api_str(step, "action"), "params", params), NULL, why);
    bool ok = r >= 0 && reachable(c->api, api_str(step, "action"), params, why);
    json_decref(params);
    return ok ? NULL : "steps";
}

/* The tags an incident can have (decide/stage.def; a test compares). */
static bool stage_known(const char *tag)
{
    static const char *const tags[] = { "reconnaissance", "resource-development", "initial-access", "execution", "persistence",
        "privilege-escalation", "credential-access", "discovery", "lateral-movement", "collection", "command-and-control", "defense-evasion",
        "exfiltration", "impact" };
    for (size_t i = 0; tag && i < sizeof tags / sizeof *tags; i++)
        if (!strcmp(tags[i], tag))
            return true;
    return false;
}

/* A word that no incident ever has would make a playbook that never begins: why, or NULL. */
static const char *when_bad(const json_t *when)
{
    const json_t *severity = json_object_get(when, "severity"), *stages = json_object_get(when, "stages"), *v;
    const char *of_severity = "severity is look or call", *of_stages = "stages are those of ATT&CK, as initial-access";
    size_t i;
    if (severity && !json_is_array(severity))
        return of_severity;
    json_array_foreach(severity, i, v)
        if (!json_is_string(v) || (strcmp(json_string_value(v), "look") != 0 && strcmp(json_string_value(v), "call") != 0))
            return of_severity;
    if (stages && !json_is_array(stages))
        return of_stages;
    json_array_foreach(stages, i, v)
        if (!stage_known(json_string_value(v)))
            return of_stages;
    return NULL;
}

static bool playbook_ok(struct api_call *c, struct sm_obj *o, const char **ret_name, const json_t **ret_when, const json_t **ret_steps)
{
    char why[WHY] = "", ja[WHY];
    const char *bad = NULL;
    size_t i;
    const json_t *step;
    *ret_name = sm_obj_str(o, "name", 1, 120);
    *ret_when = sm_obj_obj(o, "when");
    *ret_steps = sm_obj_arr(o, "steps", STEPS_MAX);
    if (api_refused(c, o))
        return false;
    if (json_array_size(*ret_steps) == 0)
        bad = "steps";
    json_array_foreach(*ret_steps, i, step)
        if (!bad)
            bad = bad_step(c, step, why);
    if (!bad && when_bad(*ret_when)) {
        bad = "when";
        (void)snprintf(why, WHY, "%s", when_bad(*ret_when)); /* fits */
    }
    if (bad)
        api_fail_say(c, 400, "bad_request", bad, why_in(c->lang, *why ? why : "at least one step", ja), NULL);
    return !bad;
}

void h_playbook_post(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *name;
    const json_t *when, *steps;
    char id[API_ID_TEXT];
    if (!playbook_ok(c, &o, &name, &when, &steps))
        return;
    if (state_number(c->api->state, STATE_playbooks_n, 0, STATE_NONE) >= PLAYBOOKS_MAX) {
        api_fail(c, 409, "limit", NULL, NULL);
        return;
    }
    if (state_number(c->api->state, STATE_playbook_named, 0, STATE_ARGS(state_t(name))) > 0) {
        api_fail(c, 409, "conflict", "name", NULL);
        return;
    }
    api_id(id);
    api_audit_what(c, "%s %s", id, name);
    json_t *none = json_object();
    if (api_do(c, STATE_playbook_add, STATE_ARGS(state_t(id), state_t(name), state_j(when ? when : none), state_j(steps), state_t(c->who.account), state_i(api_now()))))
        api_reply(c, 201, json_pack("{s:s}", "id", id));
    json_decref(none);
}

void h_playbook_patch(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const json_t *on = json_object_get(c->body, "enabled");
    api_audit_what(c, "%s %s", c->part[0], json_is_true(on) ? "on" : "off");
    if (!json_is_boolean(on)) {
        api_fail(c, 400, "bad_request", "enabled", NULL);
        return;
    }
    (void)o;
    int r = state_do(c->api->state, STATE_playbook_enable, STATE_ARGS(state_i(json_is_true(on)), state_t(c->part[0])));
    api_changed(c, r);
}

void h_playbook_delete(struct api_call *c)
{
    api_audit_what(c, "%s", c->part[0]);
    int r = state_do(c->api->state, STATE_playbook_remove, STATE_ARGS(state_t(c->part[0])));
    api_changed(c, r);
}

/* A dry run: what each step would do about that incident; nothing is done. */
void h_playbook_try(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    int64_t incident = sm_obj_int(&o, "incident", 1, INT64_MAX);
    if (api_refused(c, &o))
        return;
    json_t *book = api_row(c->api, STATE_playbook, STATE_ARGS(state_t(c->part[0]))), *in = api_row(c->api, STATE_incident, STATE_ARGS(state_i(incident)));
    json_t *out = json_array(), *step;
    size_t i;
    if (!book || !in) {
        api_fail(c, 404, "not_found", in ? NULL : "incident", NULL);
    } else {
        const json_t *facts = json_object_get(in, "facts");
        json_array_foreach(json_object_get(book, "steps"), i, step) {
            char why[WHY], ja[WHY];
            json_t *plan = NULL;
            int r = plan_of(c->api, step, facts, &plan, why);
            api_append(out, json_pack("{s:O,s:O,s:o?,s:s?}", "action", json_object_get(step, "action"), "mode", json_object_get(step, "mode"), "plan", plan,
                "error", r < 0 ? why_in(c->lang, why, ja) : NULL));
        }
        api_reply(c, 200, json_pack("{s:b,s:O}", "fits", fits(json_object_get(book, "when"), facts), "steps", out));
    }
    json_decref(out);
    json_decref(book);
    json_decref(in);
}
