/* What this box has of its own: filters of rules, rules that people wrote, bundles that were put in, and the keys they are checked with. */
#include <errno.h>
#include <inttypes.h>
#include "api/watch.h"

enum { FILTERS_MAX = 500, CONDITIONS_MAX = 8, VALUES_MAX = 50, VALUE_MAX = 1000, FIELD_MAX = 200, MODIFIER_MAX = 40, WHY_MAX = 500, OWN_MAX = 300, OWN_TEXT_MAX = 64 << 10,
    TOLD_MAX = 960 << 10 /* of W_OWN, whose channel holds 1 MiB */, KEYS_MAX = 16, RULE_ID_MAX = 80 };

json_t *rules_own(struct api *a)
{
    return json_pack("{s:o,s:o}", "rules", api_rows(a, STATE_own_rule_texts, STATE_NONE), "tuning",
        api_rows(a, STATE_rule_tuning, STATE_ARGS(state_i(FILTERS_MAX))));
}

/* Would watch still be told all of it? */
static bool room_for(struct api *a, size_t more)
{
    json_t *told = rules_own(a);
    size_t n = json_dumpb(told, NULL, 0, JSON_COMPACT);

    json_decref(told);
    return n + more <= TOLD_MAX;
}

static void say(struct api_call *c, int status, const char *code, const char *field, const char *ja, const char *en, json_t *extra)
{
    api_fail_say(c, status, code, field, c->lang == TEXT_EN ? en : ja, extra);
}

/* The answer of W_TRY says what is wrong with a text: 422 with the faults. */
static bool faulty(struct api_call *c, const json_t *j, const char *field)
{
    const json_t *faults = json_object_get(j, "faults");

    if (!json_array_size(faults))
        return false;
    say(c, 422, "bad_rule", field, "このままでは使えません。直すところを見てください。", "It cannot be used as it is. Please see what has to be changed.",
        json_pack("{s:O}", "faults", faults));
    return true;
}

/* ---- filters ---- */

static bool modifier_known(const char *m)
{
    static const char *const known[] = { "", "contains", "startswith", "endswith", "re", "cidr", "cased", "contains|all", "lt", "lte", "gt", "gte", "exists" };

    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(known[i], m))
            return true;
    return false;
}

static bool condition_good(const json_t *v)
{
    struct sm_obj o = SM_OBJ(v);
    const char *field = sm_obj_str(&o, "field", 1, FIELD_MAX), *modifier = sm_obj_str_opt(&o, "modifier", MODIFIER_MAX);
    const json_t *values = sm_obj_arr(&o, "values", VALUES_MAX), *one;
    bool good = !o.err && !strpbrk(field, "|\n\r") && modifier_known(modifier ? modifier : "") && json_array_size(values) > 0;
    size_t i;

    json_array_foreach(values, i, one)
        good = good && json_is_string(one) && json_string_length(one) <= VALUE_MAX;
    return good;
}

static bool conditions_good(const json_t *list)
{
    const json_t *v;
    size_t i, n = json_array_size(list);
    bool good = n > 0 && n <= CONDITIONS_MAX;

    json_array_foreach(list, i, v)
        good = good && condition_good(v);
    return good;
}

/* What is wrong with them: a modifier that is not known is named. */
static void conditions_refused(struct api_call *c, const json_t *list)
{
    const char *wrong = NULL;
    const json_t *v;
    size_t i;

    json_array_foreach(list, i, v)
        if (!wrong && !modifier_known(api_str(v, "modifier")))
            wrong = api_str(v, "modifier");
    if (wrong && (strlen(wrong) > MODIFIER_MAX || wrong[strspn(wrong, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789|_-")]))
        wrong = "?"; /* no word that could be one */
    json_t *say = wrong ? TEXT_SAY(c->lang, T_FILTER_MODIFIER, wrong) : json_string(text_get(c->lang, T_FILTER_CONDITIONS));
    api_fail_say(c, 400, "bad_request", "conditions", json_string_value(say), NULL);
    json_decref(say);
}

/* The conditions as a rule of their own, to be looked at by the one who reads rules. */
static json_t *as_rule(const json_t *conditions)
{
    json_t *detection = json_pack("{s:s}", "condition", "all of part*"), *v;
    size_t i;

    json_array_foreach(conditions, i, v) {
        char key[300], part[32];
        const char *modifier = api_str(v, "modifier");
        (void)snprintf(part, sizeof part, "part%zu", i); /* fits */
        (void)snprintf(key, sizeof key, "%s%s%s", api_str(v, "field"), *modifier ? "|" : "", modifier); /* fits */
        api_set(detection, part, json_pack("{s:O}", key, json_object_get(v, "values")));
    }
    json_t *rule = json_pack("{s:s,s:{s:s},s:o}", "title", "conditions", "logsource", "product", "any", "detection", detection);
    char *text = json_dumps(rule, JSON_COMPACT);
    json_t *ask = json_pack("{s:s}", "text", text ? text : "");
    free(text);
    json_decref(rule);
    return ask;
}

static void filter_checked(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    json_t *conditions = json_object_get(c->body, "conditions");

    if (j && !faulty(c, j, "conditions") &&
        api_do(c, STATE_rule_filter_add, STATE_ARGS(state_t(c->part[0]), state_j(conditions), state_t(api_str(c->body, "why")),
            state_t(c->who.account), state_i(api_now())))) {
        int64_t id = state_number(c->api->state, STATE_rule_filter_last, 0, STATE_NONE);
        logs_configure(c->api, false);
        api_reply(c, 201, json_pack("{s:I,s:s,s:O,s:s,s:s}", "id", (json_int_t)id, "rule", c->part[0], "conditions", conditions, "why",
            api_str(c->body, "why"), "by", c->who.account));
    }
    json_decref(j);
}

static void filter_rule_known(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);

    if (!j)
        return;
    bool detection = !strcmp(api_str(j, "kind"), "rule");
    json_decref(j);
    if (!detection)
        say(c, 409, "conflict", NULL, "いくつかの記録を合わせて見る決まりです。もとになる決まりのほうに足してください。",
            "This rule looks at several events together. Please add the filter to a rule it builds on.", NULL);
    else
        api_ask(c, "W_TRY", as_rule(json_object_get(c->body, "conditions")), filter_checked);
}

/* {"conditions": [{"field", "modifier"?, "values": [texts]}], "why"}: where all of them hold, the rule says nothing. */
void h_rule_filter_post(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const json_t *conditions = json_object_get(c->body, "conditions");

    (void)sm_obj_str(&o, "why", 1, WHY_MAX);
    if (api_refused(c, &o))
        return;
    if (!conditions_good(conditions)) {
        conditions_refused(c, conditions);
        return;
    }
    json_t *rows = api_rows(c->api, STATE_rule_tuning, STATE_ARGS(state_i(FILTERS_MAX)));
    bool room = json_array_size(rows) < FILTERS_MAX && room_for(c->api, json_dumpb(conditions, NULL, 0, JSON_COMPACT) + 200);
    json_decref(rows);
    api_audit_what(c, "%s", c->part[0]);
    if (!room)
        api_fail(c, 413, "too_large", NULL, NULL);
    else
        api_ask(c, "W_RULE", json_pack("{s:s}", "id", c->part[0]), filter_rule_known);
}

void h_rule_filters(struct api_call *c)
{
    int64_t limit, offset;
    if (!api_page(c, &limit, &offset))
        return;
    api_reply_list(c, api_rows(c->api, STATE_rule_filters, STATE_ARGS(state_t(api_str(c->query, "rule")), state_i(limit + 1), state_i(offset))),
        limit, offset);
}

void h_rule_filter_delete(struct api_call *c)
{
    int r = state_do(c->api->state, STATE_rule_filter_end,
        STATE_ARGS(state_i(api_now()), state_t(c->who.account), state_i(strtoll(c->part[0], NULL, 10))));

    api_audit_what(c, "filter %s", c->part[0]);
    if (r <= 0) {
        api_fail_err(c, r < 0 ? r : -SM_ENOTFOUND, NULL);
        return;
    }
    logs_configure(c->api, false);
    api_reply(c, 200, json_object());
}

/* ---- rules that people wrote ---- */

void h_own_rules(struct api_call *c)
{
    int64_t limit, offset;
    if (!api_page(c, &limit, &offset))
        return;
    api_reply_list(c, api_rows(c->api, STATE_own_rules, STATE_ARGS(state_i(limit + 1), state_i(offset))), limit, offset);
}

static bool id_good(const char *id)
{
    size_t n = strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");

    return n > 0 && n <= RULE_ID_MAX && !id[n];
}

static void own_checked(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);

    if (!j || faulty(c, j, "text")) {
        json_decref(j);
        return;
    }
    const json_t *rule = json_array_get(json_object_get(j, "rules"), 0);
    const char *id = api_str(rule, "id"), *instead = api_str(c->body, "instead"), *said = api_str(c->body, "text");
    bool there = state_number(c->api->state, STATE_own_rules_n, 0, STATE_NONE) < OWN_MAX && room_for(c->api, json_string_length(json_object_get(c->body, "text")) * 2);
    if (!id_good(id)) {
        say(c, 422, "bad_rule", "text", "id: に番号(UUID など)を書いてください。", "Please give the rule an id (a UUID, for one).", NULL);
    } else if (!there) {
        api_fail(c, 413, "too_large", NULL, NULL);
    } else {
        bool moved = *instead && strcmp(instead, id) != 0;
        api_audit_what(c, "%s", id);
        if (moved)
            (void)!state_do(c->api->state, STATE_own_rule_remove, STATE_ARGS(state_t(instead))); /* it stays, then, and can be removed */
        if (api_do(c, STATE_own_rule_put,
                STATE_ARGS(state_t(id), state_t(api_str(rule, "title")), state_t(said), state_t(c->who.account), state_i(api_now())))) {
            logs_configure(c->api, false);
            api_reply(c, 201, json_pack("{s:s,s:s,s:O}", "id", id, "title", api_str(rule, "title"), "rules", json_object_get(j, "rules")));
        }
    }
    json_decref(j);
}

/* {"text", "instead"?}: looked at among all others, then kept under its id; the same id again replaces it. */
void h_own_rule_post(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *text = sm_obj_str(&o, "text", 1, OWN_TEXT_MAX), *instead = sm_obj_str_opt(&o, "instead", RULE_ID_MAX);

    if (api_refused(c, &o))
        return;
    json_t *ask = json_pack("{s:s}", "text", text);
    if (instead && *instead)
        api_set(ask, "instead", json_string(instead));
    api_ask(c, "W_TRY", ask, own_checked);
}

void h_own_rule_delete(struct api_call *c)
{
    int r = state_do(c->api->state, STATE_own_rule_remove, STATE_ARGS(state_t(c->part[0])));

    api_audit_what(c, "%s", c->part[0]);
    if (r <= 0) {
        api_fail_err(c, r < 0 ? r : -SM_ENOTFOUND, NULL);
        return;
    }
    logs_configure(c->api, false);
    api_reply(c, 200, json_object());
}

/* ---- keys ---- */

static json_t *keys_of(struct api *a)
{
    json_t *v = state_setting(a->state, "rule_keys");

    if (json_is_array(v))
        return v;
    json_decref(v);
    return json_array();
}

static bool key_good(const char *key)
{
    return !strncmp(key, "SKRB0-", 6) && api_is_hex(key + 6, 64);
}

void h_rule_key_post(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *name = sm_obj_str(&o, "name", 1, 240), *key = sm_obj_str(&o, "key", 1, 80);
    json_t *keys = keys_of(c->api), *v;
    bool known = false;
    char id[API_ID_TEXT];
    size_t i;

    json_array_foreach(keys, i, v)
        known = known || !strcmp(api_str(v, "key"), key);
    api_id(id);
    if (api_refused(c, &o)) {
    } else if (!key_good(key)) {
        say(c, 400, "bad_request", "key", "鍵は SKRB0- と64けたの英数字です。", "A key is SKRB0- and 64 hexadecimal digits.", NULL);
    } else if (known) {
        api_fail(c, 409, "conflict", "key", NULL);
    } else if (json_array_size(keys) >= KEYS_MAX) {
        api_fail(c, 413, "too_large", NULL, NULL);
    } else {
        api_audit_what(c, "%.100s %s", name, key);
        api_append(keys, json_pack("{s:s,s:s,s:s,s:s,s:o}", "id", id, "name", name, "key", key, "by", c->who.account, "at", api_time(api_now())));
        int r = state_set(c->api->state, "rule_keys", keys);
        if (r < 0)
            api_fail_err(c, r, NULL);
        else
            api_reply(c, 201, json_pack("{s:s}", "id", id));
    }
    json_decref(keys);
}

void h_rule_key_delete(struct api_call *c)
{
    json_t *keys = keys_of(c->api), *v;
    size_t i, at = json_array_size(keys);

    json_array_foreach(keys, i, v)
        if (!strcmp(api_str(v, "id"), c->part[0]))
            at = i;
    int r = at == json_array_size(keys) ? -SM_ENOTFOUND : 0;
    if (r == 0) {
        v = json_array_get(keys, at);
        api_audit_what(c, "%.100s %s", api_str(v, "name"), api_str(v, "key"));
        (void)json_array_remove(keys, at); /* it is there */
        r = state_set(c->api->state, "rule_keys", keys);
    }
    json_decref(keys);
    if (r < 0)
        api_fail_err(c, r, NULL);
    else
        api_reply(c, 200, json_object());
}

/* ---- the bundle ---- */

static json_t *place_told(const json_t *p)
{
    if (!json_is_object(p))
        return json_null();
    json_t *j = json_deep_copy(p);
    api_set(j, "put", api_time(api_int(p, "put_s", 0)));
    return j;
}

static void bundle_tell(struct api_call *c, int status, const json_t *j)
{
    api_reply(c, status, json_pack("{s:o,s:o,s:O?,s:o,s:s,s:b,s:I,s:I}", "current", place_told(json_object_get(j, "current")), "previous",
        place_told(json_object_get(j, "previous")), "project_keys", json_object_get(j, "keys"), "keys", keys_of(c->api), "fault", api_str(j, "fault"),
        "can_put_back", api_bool(j, "can_put_back"), "rules", (json_int_t)api_int(j, "rules", 0), "faults", (json_int_t)api_int(j, "faults", 0)));
}

static const struct { int err, status; const char *code, *ja, *en; } refusals[] = {
    { SM_EAUTH, 422, "bundle_signature", "信頼した鍵の署名がありません。何も変えていません。", "No trusted key signed it. Nothing was changed." },
    { SM_EFORMAT, 422, "bundle_form", "決まりの束ではないか、こわれています。何も変えていません。", "Not a bundle of rules, or a damaged one. Nothing was changed." },
    { SM_ECORRUPT, 422, "bundle_form", "中のファイルが署名と合いません。何も変えていません。", "A file in it is not the one that was signed. Nothing was changed." },
    { SM_EVERSION, 422, "bundle_version", "この箱より新しい形です。先に箱を新しくしてください。", "It is of a newer form. Please update the box first." },
    { SM_ELIMIT, 413, "too_large", "束が大きすぎます。", "The bundle is too large." },
    { SM_ESTATE, 409, "bundle_older", "いま使っている束より古い番号です。何も変えていません。", "Its number is older than that of the one in use. Nothing was changed." },
    { SM_EMISMATCH, 409, "offset", "続きがつながりません。はじめから送ってください。", "The pieces do not follow each other. Begin anew." },
    { SM_EPARTIAL, 409, "offset", "ファイルが終わりまで届いていません。もう一度送ってください。", "The file was not brought whole. Send it again." },
};

static void bundle_done(struct api_call *c, int err, struct sm_span body, const char *text)
{
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (err == -refusals[i].err) {
            say(c, refusals[i].status, refusals[i].code, NULL, refusals[i].ja, refusals[i].en, json_pack("{s:s}", "detail", text ? text : ""));
            return;
        }
    json_t *j = api_answer(c, err, body, text);
    if (j && c->route->flags & API_AUDIT)
        api_audit_what(c, "%s %" PRId64, api_str(json_object_get(j, "current"), "name"), api_int(json_object_get(j, "current"), "serial", 0));
    if (j)
        bundle_tell(c, 200, j);
    json_decref(j);
}

void h_rule_bundle(struct api_call *c)
{
    api_ask(c, "W_BUNDLE", json_object(), bundle_done);
}

static void part_done(struct api_call *c, int err, struct sm_span body, const char *text)
{
    if (err < 0) {
        bundle_done(c, err, body, text);
        return;
    }
    json_t *j = api_answer(c, err, body, text);
    if (j)
        api_reply(c, 200, json_pack("{s:I}", "have", (json_int_t)api_int(j, "upload", 0)));
    json_decref(j);
}

void h_rule_bundle_part(struct api_call *c)
{
    api_ask(c, "W_BUNDLE", json_pack("{s:O}", "part", c->body), part_done);
}

void h_rule_bundle_post(struct api_call *c)
{
    bool older = json_is_true(json_object_get(c->body, "older"));
    json_t *keys = keys_of(c->api), *list = json_array(), *v;
    size_t i;

    json_array_foreach(keys, i, v)
        api_append(list, json_string(api_str(v, "key")));
    json_decref(keys);
    if (older && !(c->who.bit & (API_MANAGER | API_DIRECTOR))) {
        json_decref(list);
        api_fail(c, 403, "denied", "older", NULL);
        return;
    }
    api_audit_what(c, "%s", older ? "older allowed" : "");
    api_ask(c, "W_BUNDLE", json_pack("{s:{s:o,s:b,s:s}}", "put", "keys", list, "older", older, "by", c->who.account), bundle_done);
}

/* Here a state that does not fit means that there is none, not that one is older. */
static void back_done(struct api_call *c, int err, struct sm_span body, const char *text)
{
    if (err == -SM_ESTATE)
        api_fail_say(c, 409, "bundle_none", NULL, text_get(c->lang, T_BUNDLE_NONE), NULL);
    else
        bundle_done(c, err, body, text);
}

void h_rule_bundle_back(struct api_call *c)
{
    api_ask(c, "W_BUNDLE", json_pack("{s:b}", "back", 1), back_done);
}
