/* Alarms: one open at a time for each cause, in words, with three things to do; mails and web hooks about them. */
#include <errno.h>
#include "api/internal.h"
#include "api/notify.h"
#include "api/watch.h"

#define REFUSALS_DAY 3              /* broken rules of one machine in a day that make an alarm */
#define REFUSALS_KEPT_S (30 * 86400)
#define OUT_TRIES 8
#define DISK_LOOK_PERCENT 10
#define CERT_LOOK_S ((int64_t)30 * 86400)
#define RESTARTS_LOOK 5

/* ---- words ---- */

/* The two strongest reasons; what repeats another one ("changed", "the machine says so") only when it stands alone. */
static json_t *joined_reasons(const json_t *facts, enum text_lang lang)
{
    json_t *words = reasons_words(json_object_get(facts, "reasons"), lang), *row;
    struct sm_buf b = SM_BUF_INIT(4096);
    size_t i, used = 0, all = json_array_size(words);
    int r = 0;
    json_array_foreach(words, i, row) {
        const char *code = api_str(row, "code");
        bool repeats = all > 1 && (!strcmp(code, "client") || !strcmp(code, "changed"));
        if (r < 0 || repeats || used == 2)
            continue;
        r = sm_buf_printf(&b, "%s%s", used && lang != TEXT_JA ? " " : "", api_str(row, "text"));
        used++;
    }
    json_decref(words);
    json_t *out = r == 0 && b.n ? json_stringn((const char *)b.p, b.n) : NULL;
    sm_buf_wipe(&b);
    return out ? out : json_string("");
}

static json_t *alarm_words(const json_t *row, const char *end, const char *const *args, enum text_lang lang)
{
    char key[96];
    (void)snprintf(key, sizeof key, "ALARM_%.40s_%s", api_str(row, "kind"), end); /* fits */
    const char *text = text_named(lang, key);
    if (!text) {
        (void)snprintf(key, sizeof key, "ALARM_other_%s", end);
        text = text_named(lang, key);
    }
    char *s = text_fill(lang, text ? text : "", args, 6);
    json_t *j = s ? json_string(s) : NULL;
    free(s);
    return j ? j : json_string("");
}

/* Three things to do: those of the incident, or those of this kind of alarm. */
static json_t *alarm_next(const json_t *row, const char *const *args, enum text_lang lang)
{
    static const char *const nexts[] = { "NEXT1", "NEXT2", "NEXT3" };
    const json_t *steps = json_object_get(json_object_get(json_object_get(row, "facts"), "steps"), lang == TEXT_JA ? "ja" : "en"), *step;
    json_t *next = json_array();
    size_t i;
    if (!json_array_size(steps))
        for (i = 0; i < 3; i++)
            api_append(next, alarm_words(row, nexts[i], args, lang));
    json_array_foreach(steps, i, step) {
        char text[400];
        (void)snprintf(text, sizeof text, lang == TEXT_JA ? "%.180s。%.180s" : "%.180s. %.180s", api_str(step, "title"), api_str(step, "detail")); /* ours, short */
        api_append(next, json_string(text));
    }
    return next;
}

json_t *alarm_json(struct api *a, const json_t *row, enum text_lang lang)
{
    json_t *facts = json_object_get(row, "facts");
    json_t *device = api_row(a, STATE_device, STATE_ARGS(state_t(api_str(row, "device"))));
    json_t *source = api_row(a, STATE_source_any, STATE_ARGS(state_t(api_str(row, "source"))));
    json_t *reasons = joined_reasons(facts, lang);
    char at[SM_TIME_TEXT];
    sm_time_jst((struct sm_time){ .s = api_int(row, "opened_s", 0) }, at);
    const json_t *what = json_object_get(facts, "what");
    json_t *words = !strncmp(api_str(row, "kind"), "log_", 4) && json_is_string(what) ? why_words("", json_string_value(what), lang) : NULL;
    const char *args[] = { api_str(device, "name"), api_str(source, "name"), json_string_value(reasons), at,
        words ? json_string_value(words) : json_is_object(what) ? both_in(what, lang) : api_str(facts, "what"), api_str(facts, "numbers") };
    json_t *next = alarm_next(row, args, lang);
    json_t *j = json_pack("{s:s,s:s,s:s,s:o,s:o,s:o,s:O?,s:o,s:o,s:O?,s:s,s:s,s:O?,s:O?,s:o,s:I,s:O?}", "id",
        api_str(row, "id"), "kind", api_str(row, "kind"), "state", api_str(row, "state"), "opened",
        api_time(api_int(row, "opened_s", 0)), "closed", api_time(api_int(row, "closed_s", 0)), "seen",
        api_time(api_int(row, "seen_s", 0)), "note", json_object_get(row, "note"), "title",
        alarm_words(row, "TITLE", args, lang), "text", alarm_words(row, "TEXT", args, lang), "source",
        json_object_get(row, "source"), "device_name", api_str(device, "name"), "source_name", api_str(source, "name"),
        "device", json_object_get(row, "device"), "manifest", json_object_get(row, "manifest"), "next", next, "times",
        (json_int_t)api_int(row, "times", 1), "facts", facts);
    api_set(j, "client", json_string(api_str(device, "client")));
    json_t *story = strcmp(api_str(row, "kind"), "incident") ? NULL : incident_words(a, api_int(facts, "incident", 0), lang);
    if (story)
        api_set(j, "text", story);
    json_decref(device);
    json_decref(source);
    json_decref(words);
    json_decref(reasons);
    return j;
}

/* ---- telling ---- */

void outbox_put(struct api *a, const char *kind, json_t *body /* taken */)
{
    char id[API_ID_TEXT];
    api_id(id);
    if (body) {
        api_set(body, "id", json_string(id));
        /* When the disk refuses even this the console still shows the alarm. */
        (void)!state_do(a->state, STATE_outbox_add,
            STATE_ARGS(state_t(id), state_t(kind), state_j(body), state_i(api_now()), state_i(0)));
    }
    json_decref(body);
}

static void alarm_tell(struct api *a, const json_t *row)
{
    enum text_lang lang = api_box_lang(a);
    json_t *mail = state_setting(a->state, "mail"), *hook = state_setting(a->state, "webhook"),
           *inst = state_setting(a->state, "institution");
    json_t *j = alarm_json(a, row, lang);
    char at[96];
    sm_time_wareki((struct sm_time){ .s = api_int(row, "opened_s", 0) }, at);
    bool call = !strcmp(api_str(row, "state"), "call");
    struct sm_buf lines = SM_BUF_INIT(512);
    const struct notify_alarm n = { .institution = api_str(inst, "name"),
        .state_word = text_get(lang, call ? T_STATE_CALL : T_STATE_LOOK),
        .title = api_str(j, "title"),
        .text = api_str(j, "text"),
        .at = at,
        .next_heading = text_get(lang, T_NEXT_HEADING),
        .head_word = text_get(lang, T_HEAD_WORD),
        .head = a->head,
        .head_text = head_lines(a, &lines) == 0 ? sm_buf_str(&lines) : NULL,
        .next = json_object_get(j, "next"),
        .id = api_str(j, "id"),
        .kind = api_str(j, "kind"),
        .state = api_str(j, "state") };
    struct sm_buf subject = SM_BUF_INIT(512), text = SM_BUF_INIT(65536);
    const json_t *to = json_object_get(mail, "to");
    if (json_array_size(to) && *api_str(mail, "host") && notify_subject(&n, &subject) == 0 &&
        notify_text(&n, &text) == 0)
        outbox_put(a, "mail",
            json_pack("{s:O,s:s,s:s}", "to", to, "subject", sm_buf_str(&subject), "text", sm_buf_str(&text)));
    if (*api_str(hook, "url"))
        outbox_put(a, "webhook", json_pack("{s:s,s:o}", "url", api_str(hook, "url"), "json", notify_hook(&n)));
    sm_buf_wipe(&subject);
    sm_buf_wipe(&text);
    sm_buf_wipe(&lines);
    json_decref(mail);
    json_decref(hook);
    json_decref(inst);
    json_decref(j);
}

static void sent(struct api *a, int err, const json_t *answer, const char *text, json_t *m)
{
    (void)answer;
    (void)text;
    if (err < 0) /* not taken: later again */
        (void)!state_do(a->state, STATE_outbox_again,
            STATE_ARGS(state_i(api_now() + 60), state_t("not taken"), state_t(api_str(m, "id"))));
}

void outbox_tick(struct api *a)
{
    int64_t now = api_now();
    json_t *rows = api_rows(a, STATE_outbox_due, STATE_ARGS(state_i(now), state_i(OUT_TRIES))), *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        const char *id = api_str(row, "id");
        int64_t wait = (int64_t)60 << (api_int(row, "tries", 0) > 6 ? 6 : api_int(row, "tries", 0));
        if (state_do(a->state, STATE_outbox_try, STATE_ARGS(state_i(now + wait), state_t(id))) > 0)
            api_tell(a, !strcmp(api_str(row, "kind"), "mail") ? "X_MAIL" : !strcmp(api_str(row, "kind"), "syslog") ? "X_SYSLOG" :
                !strcmp(api_str(row, "kind"), "firewall") ? "X_FIREWALL" : "X_WEBHOOK",
                json_incref(json_object_get(row, "body")), sent, json_pack("{s:s}", "id", id));
    }
    json_decref(rows);
}

/* How the last message of each kind went, for the settings and Today: a notice that reaches nobody must not stay
 * unknown. */
static void remember_sent(struct api *a, const json_t *result)
{
    const char *kind = api_str(result, "kind");
    if (strcmp(kind, "mail") != 0 && strcmp(kind, "webhook") != 0 && strcmp(kind, "firewall") != 0)
        return;
    json_t *sent = state_setting(a->state, "sent");
    sent = sent ? sent : json_object();
    api_set(sent, kind, json_pack("{s:b,s:o,s:s}", "ok", api_bool(result, "ok"), "at", api_time(api_now()), "detail",
                            api_str(result, "detail")));
    (void)!state_set(a->state, "sent", sent); /* only the last word on it is lost */
    json_decref(sent);
    api_event(a, "today", "", json_object());
}

void api_on_sent(struct api *a, const json_t *result)
{
    const char *id = api_str(result, "id");
    if (!api_is_hex(id, 32))
        return;
    remember_sent(a, result);
    if (!strcmp(api_str(result, "kind"), "firewall")) {
        response_result(a, id, api_bool(result, "ok"));
        (void)!state_do(a->state, STATE_outbox_done, STATE_ARGS(state_i(api_now()), state_t(id))); /* a person sees it and decides anew */
        return;
    }
    /* Either way only whether it is tried again. */
    if (api_bool(result, "ok"))
        (void)!state_do(a->state, STATE_outbox_done, STATE_ARGS(state_i(api_now()), state_t(id)));
    else
        (void)!state_do(a->state, STATE_outbox_again,
            STATE_ARGS(state_i(api_now() + 300), state_t(api_str(result, "detail")), state_t(id)));
}

/* ---- opening and closing ---- */

void alarm_open(struct api *a, const struct alarm_new *n)
{
    char id[API_ID_TEXT];
    json_t *facts = n->facts ? n->facts : json_object(),
           *row = api_row(a, STATE_alarm_open, STATE_ARGS(state_t(n->key)));
    int r;
    if (row) {
        bool worse = !strcmp(n->state, "call") && strcmp(api_str(row, "state"), "call") != 0;
        const char *state = worse ? "call" : api_str(row, "state");
        (void)snprintf(id, sizeof id, "%s", api_str(row, "id")); /* same size */
        r = state_do(
            a->state, STATE_alarm_again, STATE_ARGS(state_t(state), state_j(facts), state_t(n->manifest), state_t(id)));
    } else {
        api_id(id);
        r = state_do(a->state, STATE_alarm_add,
            STATE_ARGS(state_t(id), state_t(n->kind), state_t(n->key), state_t(n->state), state_i(api_now()),
                state_t(n->source), state_t(n->device), state_t(n->manifest), state_j(facts)));
    }
    json_decref(facts);
    json_decref(row);
    row = r < 0 ? NULL : api_row(a, STATE_alarm, STATE_ARGS(state_t(id)));
    if (!row)
        return;
    const char *told = api_str(row, "told"), *state = api_str(row, "state");
    if (!*told || (!strcmp(state, "call") && strcmp(told, "call") != 0)) {
        if (state_do(a->state, STATE_alarm_told, STATE_ARGS(state_t(state), state_t(id))) > 0)
            alarm_tell(a, row);
        api_event(a, "alarm", id, alarm_json(a, row, api_box_lang(a)));
        api_event(a, "today", "", json_object());
    }
    json_decref(row);
}

void alarm_close_key(struct api *a, const char *key, const char *by)
{
    if (state_do(a->state, STATE_alarm_close_key, STATE_ARGS(state_i(api_now()), state_t(by), state_t(key))) > 0)
        api_event(a, "today", "", json_object());
}

/* As logs name it; else as people do. */
const char *device_host(const json_t *d)
{
    return *api_str(d, "hostname") ? api_str(d, "hostname") : api_str(d, "name");
}

void alarm_refusal(struct api *a, const char *device, const char *what)
{
    int64_t now = api_now();
    if (state_do(a->state, STATE_refusal_add, STATE_ARGS(state_t(device), state_i(now), state_t(what))) < 0)
        return; /* the vault's journal has it in any case */
    int64_t n = state_number(a->state, STATE_refusals, 0, STATE_ARGS(state_t(device), state_i(now - 86400)));
    char key[96];
    (void)snprintf(key, sizeof key, "hostile:%s", device); /* fits */
    if (n >= REFUSALS_DAY) {
        struct alarm_new x = { .kind = "hostile", .state = "call", .key = key, .device = device,
            .facts = json_pack("{s:I,s:s}", "count", (json_int_t)n, "what", what) };
        alarm_open(a, &x);
        json_t *d = api_row(a, STATE_device, STATE_ARGS(state_t(device)));
        signal_own(a, "sakimori.vault.refused", "high", "impact", device_host(d), "保存の決まりを破る命令が、何度も来ました",
            "Orders came again and again that break the rules of the vault");
        json_decref(d);
    }
}

/* ---- what other processes say ---- */

static json_t *device_of_client(struct api *a, const char *client)
{
    return api_row(a, STATE_device_by_client, STATE_ARGS(state_t(client)));
}

static void on_froze(struct api *a, const json_t *e)
{
    if (self_is(a, api_str(e, "client"))) { /* a database and logs are no documents: nothing to be suspected of */
        api_tell(a, "V_THAW", json_pack("{s:s,s:s,s:s,s:b}", "client", api_str(e, "client"), "reason",
            "the box's own backup", "by", "sakimori", "false_alarm", 1), NULL, NULL);
        return;
    }
    json_t *d = device_of_client(a, api_str(e, "client"));
    const char *source = api_str(e, "source");
    char key[96];
    (void)snprintf(key, sizeof key, "suspicion:%s", *source ? source : api_str(e, "client")); /* 32 digits */
    struct alarm_new n = { .kind = "suspicion",
        .state = "call",
        .key = key,
        .source = *source ? source : NULL,
        .device = api_str(d, "id"),
        .manifest = api_str(e, "manifest"),
        .facts =
            json_pack("{s:O?,s:O?}", "reasons", json_object_get(e, "reasons"), "score", json_object_get(e, "score")) };
    alarm_open(a, &n);
    signal_own(a, "sakimori.vault.suspicion", "critical", "impact", device_host(d), "ファイルが次々に書きかえられました",
        "Files were rewritten one after another");
    json_decref(d);
}

static void on_refused(struct api *a, const json_t *e)
{
    const char *refusal = api_str(e, "refusal");
    json_t *d = device_of_client(a, api_str(e, "client"));
    if (d && strcmp(refusal, "missing") != 0)
        alarm_refusal(a, api_str(d, "id"), refusal);
    json_decref(d);
}

/* The lamp "no errors" asks for the last time that everything was read. */
static void checked(struct api *a, const json_t *e)
{
    if (!api_bool(e, "finished") || api_bool(e, "cancelled") || strcmp(api_str(e, "kind"), "data") != 0)
        return;
    json_t *v = json_pack("{s:I,s:b}", "at_s", (json_int_t)api_now(), "sound", api_bool(e, "sound"));
    (void)!state_set(a->state, "vault_checked", v); /* an older check counts then */
    json_decref(v);
}

/* A generation has parts that cannot be read: one alarm a source, which names the last one found. */
static void on_hit(struct api *a, const json_t *e)
{
    json_t *d = device_of_client(a, api_str(e, "client"));
    char key[96], at[SM_TIME_TEXT];
    (void)snprintf(key, sizeof key, "damaged:%.64s", api_str(e, "source")); /* fits */
    sm_time_jst((struct sm_time){ .s = api_int(e, "at_s", 0) }, at);
    struct alarm_new n = { .kind = "damaged",
        .state = "call",
        .key = key,
        .source = api_str(e, "source"),
        .device = api_str(d, "id"),
        .manifest = api_str(e, "manifest"),
        .facts = json_pack("{s:s,s:s,s:s}", "what", at, "file", api_str(e, "file"), "why", api_str(e, "why")) };
    alarm_open(a, &n);
    json_decref(d);
}

static void on_generation(struct api *a, const json_t *e)
{
    source_saw_generation(a, api_str(e, "source"), json_deep_copy(e));
}

static void on_healed(struct api *a, const json_t *e)
{
    struct alarm_new n = { .kind = "healed",
        .state = "look",
        .key = "healed",
        .facts = json_pack("{s:s,s:s}", "what", api_str(e, "file"), "file", api_str(e, "file")) };
    alarm_open(a, &n);
}

static void on_scrub(struct api *a, const json_t *e)
{
    api_set(a->vault, "scrub", json_deep_copy(e));
    if (api_bool(e, "complete")) { /* everything was read: the same as a check of all data */
        json_t *v = json_pack("{s:b,s:b,s:s,s:b}", "finished", 1, "cancelled", 0, "kind", "data", "sound",
            api_int(e, "damaged", 0) == 0);
        checked(a, v);
        json_decref(v);
    }
    if (!api_bool(e, "running"))
        api_event(a, "today", "", json_object());
}

static void on_damage(struct api *a, const json_t *e)
{
    struct alarm_new n = { .kind = "damage",
        .state = "call",
        .key = "damage",
        .manifest = *api_str(e, "manifest") ? api_str(e, "manifest") : NULL,
        .facts = json_pack("{s:s,s:s}", "what", api_str(e, "why"), "file", api_str(e, "file")) };
    alarm_open(a, &n);
}

static void on_damaged_generation(struct api *a, const json_t *e)
{
    if (*api_str(e, "source"))
        on_hit(a, e);
    else
        on_damage(a, e);
}

static void on_broken(struct api *a, const json_t *e)
{
    struct alarm_new n = {
        .kind = "broken", .state = "call", .key = "broken", .facts = json_pack("{s:s}", "what", api_str(e, "why"))
    };
    alarm_open(a, &n);
}

static void on_space(struct api *a, const json_t *e)
{
    struct alarm_new n = { .kind = "disk",
        .state = "look",
        .key = "disk",
        .facts = json_pack("{s:I}", "avail", (json_int_t)api_int(e, "avail", 0)) };
    alarm_open(a, &n);
}

static void on_recovered(struct api *a, const json_t *e)
{
    struct alarm_new n = { .kind = "damage", .state = "call", .key = "damage", .facts = NULL };
    if (api_int(e, "packs_missing", 0) <= 0)
        return;
    n.facts = json_pack("{s:s}", "what", "packs missing");
    alarm_open(a, &n);
}

static void on_verify(struct api *a, const json_t *e)
{
    checked(a, e);
    json_decref(a->verify);
    a->verify = json_deep_copy(e);
    api_event(a, "today", "", json_object());
}

void api_on_vault(struct api *a, const json_t *e)
{
    static const struct {
        const char *what;
        void (*fn)(struct api *a, const json_t *e);
    } events[] = { { "peer", peers_event }, { "generation", on_generation }, { "froze", on_froze },
        { "refused", on_refused }, { "damaged-generation", on_damaged_generation }, { "healed", on_healed },
        { "scrub", on_scrub }, { "damage", on_damage }, { "broken", on_broken }, { "space", on_space },
        { "recovered", on_recovered }, { "verify", on_verify } };
    const char *what = api_str(e, "what");
    if (retention_event(a, e))
        return;
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        if (!strcmp(events[i].what, what))
            events[i].fn(a, e);
}

void api_on_child(struct api *a, const json_t *child)
{
    const char *name = api_str(child, "name");
    api_set(a->children, name, json_deep_copy(child));
    char key[96];
    (void)snprintf(key, sizeof key, "child:%.40s", name); /* fits */
    if (api_int(child, "restarts", 0) >= RESTARTS_LOOK && !strcmp(api_str(child, "state"), "down")) {
        struct alarm_new n = { .kind = "child",
            .state = "look",
            .key = key,
            .facts = json_pack("{s:s,s:I}", "what", name, "count", (json_int_t)api_int(child, "restarts", 0)) };
        alarm_open(a, &n);
    }
    api_event(a, "child", name, json_deep_copy(child));
}

void api_on_keyd(struct api *a, const json_t *e)
{
    if (!strcmp(api_str(e, "what"), "locked"))
        api_lock(a, "keyd");
}

/* ---- what the clock shows ---- */

/* Every server has missed more than two cycles: nothing of weight is being saved any more. */
static bool all_servers_late(const json_t *rows, int64_t now)
{
    size_t i, servers = 0, late = 0;
    json_t *row;
    json_array_foreach(rows, i, row) {
        int64_t cycle = schedule_cycle_s(json_object_get(row, "schedule")), since = api_int(row, "last_ok_s", 0);
        if (!source_is_server(row) || !cycle || !api_bool(row, "enabled"))
            continue;
        servers++;
        late += now - (since ? since : api_int(row, "created_s", 0)) > 2 * cycle + 3600;
    }
    return servers > 0 && late == servers;
}

void alarm_silent_change(struct api *a, const char *run, int64_t n, const json_t *problems)
{
    json_t *row = api_row(a, STATE_run, STATE_ARGS(state_t(run)));
    const char *first = "";
    const json_t *p;
    char key[96], what[32];
    size_t i;
    json_array_foreach(problems, i, p)
        if (!*first && !strcmp(api_str(p, "what"), "reread"))
            first = api_str(p, "path");
    (void)snprintf(key, sizeof key, "silent:%.64s", api_str(row, "source")); /* fits */
    (void)snprintf(what, sizeof what, "%lld", (long long)n);                 /* fits */
    struct alarm_new x = { .kind = "silent",
        .state = "look",
        .key = key,
        .source = api_str(row, "source"),
        .device = api_str(row, "device"),
        .facts = json_pack("{s:I,s:s,s:s,s:s}", "count", (json_int_t)n, "what", what, "file", first, "run", run) };
    if (row)
        alarm_open(a, &x);
    json_decref(row);
}

void alarm_source_runs(struct api *a, const json_t *row)
{
    char key[96];
    (void)snprintf(key, sizeof key, "failing:%s", api_str(row, "id")); /* fits */
    int64_t fails = api_int(row, "fails", 0), saved = api_int(row, "last_ok_s", 0);
    const char *kind = !saved ? "failedfirst" : fails > 1 ? "failing" : "failed";
    json_t *open = api_row(a, STATE_alarm_open, STATE_ARGS(state_t(key)));
    bool failing = source_failing(row), same = open && !strcmp(api_str(open, "kind"), kind);
    if (open && !(failing && same)) /* over, or worse now: other words */
        alarm_close_key(a, key, "sakimori");
    if (failing && !same) {
        struct alarm_new n = { .kind = kind,
            .state = "look",
            .key = key,
            .source = api_str(row, "id"),
            .device = api_str(row, "device"),
            .facts = json_pack("{s:I,s:o}", "count", (json_int_t)fails, "since", api_time(saved)) };
        alarm_open(a, &n);
    }
    json_decref(open);
}

static void late_tick(struct api *a, int64_t now)
{
    json_t *rows = api_rows(a, STATE_sources, STATE_NONE), *row;
    bool servers = all_servers_late(rows, now),
         told = state_number(a->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t("servers"))) > 0;
    size_t i;
    if (servers && !told) {
        struct alarm_new n = { .kind = "servers", .state = "call", .key = "servers", .facts = NULL };
        alarm_open(a, &n);
    } else if (!servers && told) {
        alarm_close_key(a, "servers", "sakimori");
    }
    json_array_foreach(rows, i, row) {
        char key[96];
        (void)snprintf(key, sizeof key, "late:%s", api_str(row, "id")); /* fits */
        bool open = state_number(a->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t(key))) > 0,
             late = source_late(row, now) && !source_failing(row); /* one line for one cause */
        if (late && !open) {
            struct alarm_new n = { .kind = api_int(row, "last_ok_s", 0) ? "late" : "never",
                .state = "look",
                .key = key,
                .source = api_str(row, "id"),
                .device = api_str(row, "device"),
                .facts = json_pack("{s:o}", "since", api_time(api_int(row, "last_ok_s", 0))) };
            alarm_open(a, &n);
        } else if (!late && open) {
            alarm_close_key(a, key, "sakimori");
        }
        alarm_source_runs(a, row);
    }
    json_decref(rows);
    (void)!state_do(a->state, STATE_alarms_close_gone, STATE_ARGS(state_i(now))); /* tried again at the next tick */
}

static void disk_tick(struct api *a)
{
    const json_t *t = json_object_get(a->vault, "totals");
    int64_t total = api_int(t, "disk_total", 0), avail = api_int(t, "disk_avail", 0);
    if (total <= 0)
        return;
    bool low = avail<total / 100 * DISK_LOOK_PERCENT,
        open = state_number(a->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t("disk")))> 0;
    if (low && !open) {
        struct alarm_new n = { .kind = "disk",
            .state = "look",
            .key = "disk",
            .facts = json_pack("{s:I,s:I}", "avail", (json_int_t)avail, "total", (json_int_t)total) };
        alarm_open(a, &n);
    } else if (open && avail > total / 100 * (DISK_LOOK_PERCENT + 2)) {
        alarm_close_key(a, "disk", "sakimori");
    }
}

static void cert_tick(struct api *a, int64_t now)
{
    json_t *rows = api_rows(a, STATE_devices, STATE_NONE), *row;
    size_t i;
    json_array_foreach(rows, i, row) {
        char key[96];
        (void)snprintf(key, sizeof key, "cert:%s", api_str(row, "id")); /* fits */
        bool soon = !strcmp(api_str(row, "state"), "joined") && api_int(row, "cert_until_s", 0) - now < CERT_LOOK_S / 3;
        if (soon) {
            struct alarm_new n = {
                .kind = "cert", .state = "look", .key = key, .device = api_str(row, "id"), .facts = NULL
            };
            if (state_number(a->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t(key))) == 0)
                alarm_open(a, &n);
        } else {
            alarm_close_key(a, key, "sakimori");
        }
    }
    json_decref(rows);
}

void alarms_tick(struct api *a)
{
    int64_t now = api_now();
    late_tick(a, now);
    disk_tick(a);
    cert_tick(a, now);
    card_tick(a);
    if (audit_is_broken(a->audit) &&
        state_number(a->state, STATE_alarm_is_open, 0, STATE_ARGS(state_t("audit"))) == 0) {
        struct alarm_new n = { .kind = "record", .state = "call", .key = "audit", .facts = NULL };
        alarm_open(a, &n);
    }
    (void)!state_do(
        a->state, STATE_refusals_forget, STATE_ARGS(state_i(now - REFUSALS_KEPT_S))); /* kept longer is no harm */
}

/* ---- routes ---- */

void h_alarms(struct api_call *c)
{
    int64_t limit, offset;
    if (!api_page(c, &limit, &offset))
        return;
    bool open = !strcmp(api_str(c->query, "open"), "1") || !strcmp(api_str(c->query, "open"), "true");
    json_t *rows = api_rows(c->api, STATE_alarms, STATE_ARGS(state_i(open), state_i(limit + 1), state_i(offset))),
           *items = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row)
        api_append(items, alarm_json(c->api, row, c->lang));
    json_decref(rows);
    api_reply_list(c, items, limit, offset);
}

void h_alarm(struct api_call *c)
{
    json_t *row = api_row(c->api, STATE_alarm, STATE_ARGS(state_t(c->part[0])));
    if (!row)
        api_fail(c, 404, "not_found", NULL, NULL);
    else
        api_reply(c, 200, alarm_json(c->api, row, c->lang));
    json_decref(row);
}

static void acted(struct api_call *c)
{
    json_t *row = api_row(c->api, STATE_alarm, STATE_ARGS(state_t(c->part[0])));
    api_event(c->api, "alarm", c->part[0], alarm_json(c->api, row, api_box_lang(c->api)));
    api_event(c->api, "today", "", json_object());
    json_t *j = alarm_json(c->api, row, c->lang);
    json_decref(row);
    api_reply(c, 200, j);
}

/* What the vault saw and told by this alarm is over with it. */
static void own_over(struct api_call *c, const json_t *alarm, const char *note, bool false_alarm)
{
    const char *kind = api_str(alarm, "kind");
    const char *rule = !strcmp(kind, "suspicion") ? "sakimori.vault.suspicion" : !strcmp(kind, "hostile") ? "sakimori.vault.refused" : NULL;
    json_t *d = rule ? api_row(c->api, STATE_device, STATE_ARGS(state_t(api_str(alarm, "device")))) : NULL;
    if (d)
        signal_own_over(c->api, rule, device_host(d), c->who.account, note, false_alarm);
    json_decref(d);
}

static void thawed(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    schedule_anew(c->api, api_str(c->mem, "device"));
    json_t *alarm = api_row(c->api, STATE_alarm, STATE_ARGS(state_t(c->part[0])));
    own_over(c, alarm, api_str(c->body, "note"), api_bool(c->body, "false_alarm"));
    json_decref(alarm);
    if (api_do(c, STATE_alarm_close,
            STATE_ARGS(
                state_i(api_now()), state_t(c->who.account), state_t(api_str(c->body, "note")), state_t(c->part[0]))))
        acted(c);
}

/* Without false_alarm the bad copies stay marked: what is not said must not make them clean. */
static void thaw(struct api_call *c, const json_t *alarm, const char *note, bool false_alarm)
{
    json_t *d = api_row(c->api, STATE_device, STATE_ARGS(state_t(api_str(alarm, "device"))));
    char reason[256];
    size_t n = strnlen(note, sizeof reason - 1);
    while (n < strlen(note) && n > 0 && ((unsigned char)note[n] & 0xc0) == 0x80)
        n--; /* the vault's record is shorter than a note: cut between characters */
    memcpy(reason, note, n);
    reason[n] = 0;
    if (d)
        api_set(c->mem, "device", json_string(api_str(d, "id")));
    if (!d)
        api_fail(c, 409, "conflict", "action", NULL);
    else
        api_ask(c, "V_THAW",
            json_pack("{s:s,s:s,s:s,s:b}", "client", api_str(d, "client"), "reason", reason, "by", c->who.account,
                "false_alarm", false_alarm),
            thawed);
    json_decref(d);
}

void h_alarm_act(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *action = sm_obj_str(&o, "action", 1, 16), *note = sm_obj_str_opt(&o, "note", 1000);
    bool false_alarm = sm_obj_bool(&o, "false_alarm", false);
    if (api_refused(c, &o))
        return;
    json_t *row = api_row(c->api, STATE_alarm, STATE_ARGS(state_t(c->part[0])));
    api_audit_what(c, "%s %s%s %s", c->part[0], action, false_alarm ? " false_alarm" : "", note ? note : "");
    if (!row) {
        api_fail(c, 404, "not_found", NULL, NULL);
    } else if (!strcmp(action, "seen")) {
        if (api_do(c, STATE_alarm_seen, STATE_ARGS(state_i(api_now()), state_t(c->part[0]))))
            acted(c);
    } else if (!strcmp(action, "close")) {
        if (!strcmp(api_str(row, "kind"), "incident"))
            incident_close(c->api, api_int(json_object_get(row, "facts"), "incident", 0), "closed", c->who.account, note);
        own_over(c, row, note, false);
        if (api_do(c, STATE_alarm_close,
                STATE_ARGS(state_i(api_now()), state_t(c->who.account), state_t(note), state_t(c->part[0]))))
            acted(c);
    } else if (!strcmp(action, "thaw") && (!note || !*note)) {
        api_fail(c, 400, "bad_request", "note", NULL); /* the vault's record names a reason */
    } else if (!strcmp(action, "thaw")) {
        thaw(c, row, note, false_alarm);
    } else {
        api_fail(c, 400, "bad_request", "action", NULL);
    }
    json_decref(row);
}
