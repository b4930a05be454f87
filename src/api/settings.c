/* Settings, telephone numbers, and the emergency card that opens from disk when everything else is down. */
#include <errno.h>
#include <unistd.h>
#include "api/internal.h"
#include "api/watch.h"
#include "plat/fs.h"
#include "api/notify.h"

#define CONTACTS_MAX 30
#define PARENT_FIREWALL "to the parent" /* no name of a setting */

/* ---- settings ---- */

static json_t *policy_standard(void)
{
    return json_pack("{s:i,s:i,s:i,s:i,s:i}", "hourly", 48, "daily", 35, "weekly", 26, "monthly", 60, "min_days", 14);
}

static json_t *settings_json(struct api *a)
{
    json_t *mail = state_setting(a->state, "mail"), *hook = state_setting(a->state, "webhook"),
           *inst = state_setting(a->state, "institution");
    json_t *policy = state_setting(a->state, "retention");
    mail = mail ? mail
                : json_pack("{s:[],s:s,s:s,s:i,s:s,s:s,s:b}", "to", "from", "", "host", "", "port", 587, "tls",
                      "starttls", "user", "", "password_set", 0);
    hook = hook ? hook : json_pack("{s:s}", "url", "");
    policy = policy ? policy : json_incref(json_object_get(a->vault, "policy"));
    policy = policy ? policy : policy_standard();
    json_t *sent = state_setting(a->state, "sent"), *m = json_object_get(sent, "mail"),
           *h = json_object_get(sent, "webhook");
    api_set(mail, "last", m ? json_incref(m) : json_null());
    api_set(hook, "last", h ? json_incref(h) : json_null());
    json_t *w = json_incref(json_object_get(sent, "firewall"));
    json_decref(sent);
    json_t *wall = state_setting(a->state, "firewall");
    wall = wall ? wall : json_pack("{s:s,s:s,s:b}", "url", "", "pin", "", "token_set", 0);
    api_set(wall, "last", w ? w : json_null());
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:s,s:o,s:{s:b}}", "firewall", wall, "places", places_list(a), "mail", mail, "webhook", hook, "retention", policy, "language",
        api_language(a), "institution", inst ? inst : json_null(), "drills", "by_itself", drill_by_itself(a));
}

void h_settings_get(struct api_call *c)
{
    api_reply(c, 200, settings_json(c->api));
}

/* The next part of the change, in this order: mail to the parent, policy to the vault, the rest here. */
static void patch_store(struct api_call *c);

static void patch_policy_done(struct api_call *c, int err, struct sm_span body, const char *text)
{
    if (err == -SM_EDENIED) {
        api_fail(c, 409, "needs_order", "retention", NULL);
        return;
    }
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    patch_store(c);
}

static void patch_policy(struct api_call *c)
{
    const json_t *policy = json_object_get(c->mem, "retention");
    if (!policy) {
        patch_store(c);
        return;
    }
    json_t *ask = json_deep_copy(policy);
    api_set(ask, "by", json_string(c->who.account));
    api_ask(c, "V_POLICY", ask, patch_policy_done);
}

static void patch_firewall_done(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    patch_policy(c);
}

/* The parent's part of the firewall, if there is one: the token is in nothing that is kept here. */
static void patch_firewall(struct api_call *c)
{
    json_t *parent = json_incref(json_object_get(c->mem, PARENT_FIREWALL));
    if (!parent) {
        patch_policy(c);
        return;
    }
    json_object_del(c->mem, PARENT_FIREWALL);
    api_ask(c, "P_FIREWALL", parent, patch_firewall_done);
}

static void patch_mail_done(struct api_call *c, int err, struct sm_span body, const char *text)
{
    if (err == -SM_EINVAL) {
        api_fail_say(c, 400, "bad_request", "mail", text && *text ? text : text_get(c->lang, T_BAD_REQUEST), NULL);
        return;
    }
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    patch_firewall(c);
}

/* What was said of the old address is nothing about the new one. */
static int forget_sent(struct api_call *c)
{
    json_t *sent = state_setting(c->api->state, "sent");
    int r = 0;
    if (sent && json_object_get(c->mem, "mail"))
        json_object_del(sent, "mail");
    if (sent && json_object_get(c->mem, "webhook"))
        json_object_del(sent, "webhook");
    if (sent && json_object_get(c->mem, "firewall"))
        json_object_del(sent, "firewall");
    if (sent)
        r = state_set(c->api->state, "sent", sent);
    json_decref(sent);
    return r;
}

static void patch_store(struct api_call *c)
{
    static const char *const keys[] = { "mail", "webhook", "retention", "language", "institution", "drills", "places", "firewall" };
    struct api *a = c->api;
    int r = state_begin(a->state);
    if (r == 0) {
        for (size_t i = 0; i < sizeof keys / sizeof *keys && r == 0; i++) {
            const json_t *v = json_object_get(c->mem, keys[i]);
            r = v ? state_set(a->state, keys[i], v) : 0;
        }
        r = r ? r : forget_sent(c);
        int e = state_end(a->state, r == 0);
        r = r < 0 ? r : e;
    }
    if (r < 0) {
        api_fail_err(c, r, NULL);
        return;
    }
    card_write(a);
    if (json_object_get(c->mem, "places"))
        logs_configure(a, false);
    api_reply(c, 200, settings_json(a));
}

/* The field that is wrong, or NULL; ret_why is set when its reason is known. */
static const char *check_mail(
    struct api *a, const json_t *in, json_t **ret, json_t **ret_parent, struct sm_obj *ret_why)
{
    struct sm_obj o = SM_OBJ(in);
    const json_t *to = json_object_get(in, "to") ? sm_obj_arr(&o, "to", NOTIFY_TO_MAX) : NULL;
    const char *from = sm_obj_str_opt(&o, "from", 254), *host = sm_obj_str_opt(&o, "host", 253),
               *tls = sm_obj_str_opt(&o, "tls", 10);
    const char *user = sm_obj_str_opt(&o, "user", 254), *password = sm_obj_str_opt(&o, "password", 256);
    size_t i;
    json_t *v, *old = state_setting(a->state, "mail");
    int64_t port = sm_obj_int_opt(&o, "port", 1, 65535, old ? api_int(old, "port", 587) : 587);
    if (o.err < 0) {
        json_decref(old);
        *ret_why = o;
        return "mail";
    }
    json_array_foreach(to, i, v)
        if (!json_is_string(v) || !notify_address_ok(json_string_value(v))) {
            json_decref(old);
            return "mail.to";
        }
    json_t *all = to ? json_deep_copy(to) : json_incref(json_object_get(old, "to"));
    from = from ? from : api_str(old, "from");
    host = host ? host : api_str(old, "host");
    user = user ? user : api_str(old, "user");
    tls = tls ? tls : *api_str(old, "tls") ? api_str(old, "tls") : "starttls";
    bool set = password ? *password != 0 : api_bool(old, "password_set") && !strcmp(host, api_str(old, "host")); /* it is for that host */
    const char *bad = *from && !notify_address_ok(from)                                      ? "mail.from"
                      : strcmp(tls, "none") && strcmp(tls, "starttls") && strcmp(tls, "tls") ? "mail.tls"
                                                                                             : NULL;
    if (!bad) {
        *ret = json_pack("{s:o,s:s,s:s,s:I,s:s,s:s,s:b}", "to", all ? json_incref(all) : json_array(), "from", from,
            "host", host, "port", (json_int_t)port, "tls", tls, "user", user, "password_set", set);
        *ret_parent = json_pack(
            "{s:s,s:I,s:s,s:s,s:s}", "host", host, "port", (json_int_t)port, "tls", tls, "user", user, "from", from);
        if (password)
            api_set(*ret_parent, "password", json_string(password));
    }
    json_decref(all);
    json_decref(old);
    return bad;
}

/* url and pin are settings; the token goes to the parent and never comes back. */
static const char *check_firewall(struct api *a, const json_t *in, json_t **ret, json_t **ret_parent, struct sm_obj *ret_why)
{
    struct sm_obj o = SM_OBJ(in);
    const char *url = sm_obj_str_opt(&o, "url", 1000), *pin = sm_obj_str_opt(&o, "pin", 100), *token = sm_obj_str_opt(&o, "token", 500);
    if (o.err < 0) {
        *ret_why = o;
        return "firewall";
    }
    json_t *old = state_setting(a->state, "firewall");
    url = url ? url : api_str(old, "url");
    pin = pin ? pin : api_str(old, "pin");
    const char *bad = *url && (strncmp(url, "https://", 8) != 0 || !notify_url_ok(url)) ? "firewall.url"
        : *pin && (strncmp(pin, "sha256//", 8) != 0 || strlen(pin) != 52) ? "firewall.pin" : NULL;
    for (const char *p = token; p && *p && !bad; p++)
        bad = *p <= 0x20 || *p >= 0x7f ? "firewall.token" : NULL;
    if (!bad) {
        *ret = json_pack("{s:s,s:s,s:b}", "url", url, "pin", pin, "token_set",
            token ? *token != 0 : api_bool(old, "token_set") && !strcmp(url, api_str(old, "url"))); /* it is for that address */
        *ret_parent = json_pack("{s:s,s:s,s:s?}", "url", url, "pin", pin, "token", token);
    }
    json_decref(old);
    return bad;
}

static const char *check_policy(const json_t *in, json_t **ret, struct sm_obj *ret_why)
{
    struct sm_obj o = SM_OBJ(in);
    int64_t hourly = sm_obj_int(&o, "hourly", 0, 1000), daily = sm_obj_int(&o, "daily", 1, 1000),
            weekly = sm_obj_int(&o, "weekly", 0, 1000), monthly = sm_obj_int(&o, "monthly", 0, 1000),
            min = sm_obj_int(&o, "min_days", 1, 400);
    if (o.err < 0) {
        *ret_why = o;
        return "retention";
    }
    *ret = json_pack("{s:I,s:I,s:I,s:I,s:I}", "hourly", (json_int_t)hourly, "daily", (json_int_t)daily, "weekly",
        (json_int_t)weekly, "monthly", (json_int_t)monthly, "min_days", (json_int_t)min);
    return NULL;
}

static json_t *person_merge(const json_t *old, const json_t *in)
{
    static const char *const keys[] = { "name", "title", "phone" };
    json_t *p = json_object();
    for (size_t i = 0; i < 3; i++) {
        const json_t *v = json_object_get(in, keys[i]);
        const char *s =
            json_is_string(v) && json_string_length(v) <= 200 ? json_string_value(v) : api_str(old, keys[i]);
        api_set(p, keys[i], json_string(s));
    }
    return p;
}

/* Fields with a few words to choose from: as in the set-up. */
static bool institution_words(json_t *inst, const json_t *in)
{
    static const struct {
        const char *key, *allowed[6];
    } words[] = { { "kind", { "clinic", "dental", "hospital", "pharmacy", "other", NULL } },
        { "vendor_updates", { "yes", "no", "unknown", NULL } } };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        const json_t *v = json_object_get(in, words[i].key);
        const char *const *w = words[i].allowed, *s = json_string_value(v);
        while (v && s && *w && strcmp(*w, s) != 0)
            w++;
        if (v && (!s || !*w))
            return false;
        if (v)
            api_set(inst, words[i].key, json_string(s));
    }
    return true;
}

static const char *check_institution(struct api *a, const json_t *in, json_t **ret)
{
    static const char *const texts[] = { "name", "address", "phone" };
    static const char *const people[] = { "responsible", "deputy", "vendor" };
    json_t *inst = state_setting(a->state, "institution");
    if (!inst)
        return "institution";
    for (size_t i = 0; i < 3; i++) {
        const json_t *v = json_object_get(in, texts[i]);
        if (v && (!json_is_string(v) || json_string_length(v) > 300 || (i == 0 && json_string_length(v) == 0))) {
            json_decref(inst);
            return "institution";
        }
        if (v)
            api_set(inst, texts[i], json_string(json_string_value(v)));
        if (json_is_object(json_object_get(in, people[i])))
            api_set(inst, people[i], person_merge(json_object_get(inst, people[i]), json_object_get(in, people[i])));
    }
    if (!institution_words(inst, in)) {
        json_decref(inst);
        return "institution";
    }
    *ret = inst;
    return NULL;
}

/* A name that is no setting is an error, never a change that did not happen. */
static bool names_known(struct api_call *c)
{
    static const struct {
        const char *in, *names[10];
    } known[] = { { NULL, { "mail", "webhook", "retention", "language", "institution", "drills", "places", "firewall" } },
        { "firewall", { "url", "pin", "token", "token_set", "last" } }, { "drills", { "by_itself" } },
        { "mail", { "to", "from", "host", "port", "tls", "user", "password", "password_set", "last" } },
        { "webhook", { "url", "last" } },
        { "institution", { "name", "address", "phone", "kind", "vendor_updates", "language", "responsible", "deputy",
                             "vendor" } },
        { "retention", { "hourly", "daily", "weekly", "monthly", "min_days" } } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const json_t *in = known[i].in ? json_object_get(c->body, known[i].in) : c->body;
        struct sm_obj o = SM_OBJ(in);
        if (in)
            sm_obj_only(&o, known[i].names);
        if (api_refused(c, &o))
            return false;
    }
    return true;
}

void h_settings_patch(struct api_call *c)
{
    struct api *a = c->api;
    struct sm_obj why = { 0 };
    if (!names_known(c))
        return;
    json_t *v = NULL, *parent = NULL;
    const json_t *in;
    const char *bad = NULL;
    char what[200] = "";
    if ((in = json_object_get(c->body, "mail")) != NULL && !(bad = check_mail(a, in, &v, &parent, &why)))
        api_set(c->mem, "mail", v);
    if (!bad && (in = json_object_get(c->body, "webhook")) != NULL) {
        const char *url = api_str(in, "url");
        bad = *url && !notify_url_ok(url) ? "webhook.url" : NULL;
        if (!bad)
            api_set(c->mem, "webhook", json_pack("{s:s}", "url", url));
    }
    if (!bad && (in = json_object_get(c->body, "retention")) != NULL && !(bad = check_policy(in, &v, &why)))
        api_set(c->mem, "retention", v);
    if (!bad && (in = json_object_get(c->body, "institution")) != NULL && !(bad = check_institution(a, in, &v)))
        api_set(c->mem, "institution", v);
    if (!bad && (in = json_object_get(c->body, "language")) != NULL) {
        const char *l = json_string_value(in);
        bad = !l || (strcmp(l, "ja") != 0 && strcmp(l, "en") != 0) ? "language" : NULL;
        if (!bad)
            api_set(c->mem, "language", json_string(l));
    }
    if (!bad && (in = json_object_get(c->body, "drills")) != NULL) {
        struct sm_obj o = SM_OBJ(in);
        bool by_itself = sm_obj_bool(&o, "by_itself", true);
        bad = o.err < 0 || !json_is_object(in) ? "drills" : NULL;
        if (!bad)
            api_set(c->mem, "drills", json_pack("{s:b}", "by_itself", by_itself));
    }
    if (!bad && (in = json_object_get(c->body, "places")) != NULL && !(bad = places_check(in, &v)))
        api_set(c->mem, "places", v);
    json_t *wall = NULL;
    if (!bad && (in = json_object_get(c->body, "firewall")) != NULL && !(bad = check_firewall(a, in, &v, &wall, &why)))
        api_set(c->mem, "firewall", v);
    const char *key;
    json_t *x;
    json_object_foreach(c->mem, key, x)
        (void)snprintf(what + strlen(what), sizeof what - strlen(what), "%s ", key); /* eight short words */
    api_audit_what(c, "%s", what);
    if (wall)
        api_set(c->mem, PARENT_FIREWALL, wall);
    if (bad) {
        json_decref(parent);
        if (!api_refused(c, &why))
            api_fail(c, 400, "bad_request", bad, NULL);
    } else if (parent) {
        api_ask(c, "P_MAIL", parent, patch_mail_done);
    } else {
        patch_firewall(c);
    }
}

static void test_sent(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = api_answer(c, err, body, text);
    if (!j)
        return;
    json_decref(j);
    api_reply(c, 202, json_pack("{s:b}", "queued", 1));
}

void h_settings_test(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *what = sm_obj_str(&o, "what", 1, 16);
    if (api_refused(c, &o))
        return;
    char id[API_ID_TEXT];
    api_id(id);
    json_t *mail = state_setting(c->api->state, "mail"), *hook = state_setting(c->api->state, "webhook");
    bool is_mail = !strcmp(what, "mail"), is_hook = !strcmp(what, "webhook");
    api_audit_what(c, "%s", what);
    if (is_mail && json_array_size(json_object_get(mail, "to")) && *api_str(mail, "host"))
        api_ask(c, "X_MAIL",
            json_pack("{s:s,s:O,s:s,s:s,s:i}", "id", id, "to", json_object_get(mail, "to"), "subject",
                text_get(c->lang, T_TEST_SUBJECT), "text", text_get(c->lang, T_TEST_TEXT), "tries", 1),
            test_sent);
    else if (is_hook && *api_str(hook, "url"))
        api_ask(c, "X_WEBHOOK",
            json_pack("{s:s,s:s,s:{s:s,s:s},s:i}", "id", id, "url", api_str(hook, "url"), "json", "kind", "test", "text",
                text_get(c->lang, T_TEST_TEXT), "tries", 1),
            test_sent);
    else
        api_fail(c, is_mail || is_hook ? 409 : 400, is_mail || is_hook ? "conflict" : "bad_request", "what", NULL);
    json_decref(mail);
    json_decref(hook);
}

/* ---- telephone numbers ---- */

static void contact(json_t *list, const char *name, const char *role, const char *phone, const char *note)
{
    api_append(list, json_pack("{s:s,s:s,s:s,s:s,s:s,s:n}", "name", name, "role", role, "phone", phone, "hours", "",
                         "note", note, "checked_on"));
}

/* What a new box shows; official numbers are from the ministry's and the police's own pages and must be checked by a
 * call. */
static json_t *contacts_standard(struct api *a, enum text_lang lang)
{
    json_t *inst = state_setting(a->state, "institution"), *list = json_array();
    const json_t *r = json_object_get(inst, "responsible"), *d = json_object_get(inst, "deputy"),
                 *v = json_object_get(inst, "vendor");
    const char *check = text_get(lang, T_CONTACT_CHECK);
    contact(list, *api_str(v, "name") ? api_str(v, "name") : text_get(lang, T_CONTACT_VENDOR), "vendor",
        api_str(v, "phone"), text_get(lang, T_CONTACT_VENDOR_NOTE));
    contact(list, text_get(lang, T_CONTACT_NETWORK), "network", "", "");
    contact(list, *api_str(r, "name") ? api_str(r, "name") : text_get(lang, T_CONTACT_DIRECTOR), "director",
        api_str(r, "phone"), api_str(r, "title"));
    if (*api_str(d, "name"))
        contact(list, api_str(d, "name"), "deputy", api_str(d, "phone"), api_str(d, "title"));
    contact(list, text_get(lang, T_CONTACT_POLICE), "police", "#9110", text_get(lang, T_CONTACT_POLICE_NOTE));
    contact(list, text_get(lang, T_CONTACT_MHLW), "mhlw", "03-6812-7837", check);
    contact(list, text_get(lang, T_CONTACT_JMA), "jma", "0120-179-066", check);
    contact(list, text_get(lang, T_CONTACT_IPA), "ipa", "03-5978-7509", check);
    contact(list, text_get(lang, T_CONTACT_HOKENJO), "hokenjo", "", text_get(lang, T_CONTACT_HOKENJO_NOTE));
    json_decref(inst);
    return list;
}

json_t *contacts_get(struct api *a, enum text_lang lang)
{
    json_t *list = state_setting(a->state, "contacts");
    return json_is_array(list) ? list : contacts_standard(a, lang);
}

void h_contacts_get(struct api_call *c)
{
    api_reply(c, 200, json_pack("{s:o,s:n}", "items", contacts_get(c->api, c->lang), "next"));
}

void h_contacts_put(struct api_call *c)
{
    static const struct {
        const char *key;
        size_t min, max;
    } fields[] = { { "name", 1, 200 }, { "role", 0, 40 }, { "phone", 0, 40 }, { "hours", 0, 100 }, { "note", 0, 300 },
        { "checked_on", 0, 20 } };
    struct sm_obj o = SM_OBJ(c->body);
    const json_t *in = sm_obj_arr(&o, "items", CONTACTS_MAX);
    if (api_refused(c, &o))
        return;
    json_t *list = json_array(), *row;
    size_t i;
    json_array_foreach(in, i, row) {
        struct sm_obj p = SM_OBJ(row);
        json_t *one = json_object();
        for (size_t k = 0; k < sizeof fields / sizeof *fields; k++) {
            const json_t *v = json_object_get(row, fields[k].key);
            bool there = v && !json_is_null(v);
            const char *s = fields[k].min || there ? sm_obj_str(&p, fields[k].key, fields[k].min, fields[k].max) : NULL;
            api_set(one, fields[k].key, s ? json_string(s) : k == 5 ? json_null() : json_string(""));
        }
        api_append(list, one);
        if (api_refused(c, &p)) {
            json_decref(list);
            return;
        }
    }
    int r = state_set(c->api->state, "contacts", list);
    api_audit_what(c, "%zu", json_array_size(list));
    json_decref(list);
    if (r < 0) {
        api_fail_err(c, r, NULL);
        return;
    }
    card_write(c->api);
    json_t *v = json_integer(api_now());
    (void)!state_set(c->api->state, "card_changed", v); /* only a task hangs on it */
    json_decref(v);
    api_reply(c, 200, json_pack("{s:o,s:n}", "items", contacts_get(c->api, c->lang), "next"));
}

/* ---- the card ---- */

#define STEPS 6
static const enum text_key step_heads[STEPS] = { T_CARD_1, T_CARD_2, T_CARD_3, T_CARD_4, T_CARD_5, T_CARD_6 };
static const enum text_key step_lines[STEPS][3] = { { T_CARD_1A, T_CARD_1B, T_CARD_1C },
    { T_CARD_2A, T_CARD_2B, T_CARD_2C }, { T_CARD_3A, T_CARD_3B, T_CARD_3C }, { T_CARD_4A, T_CARD_4B, T_CARD_4C },
    { T_CARD_5A, T_CARD_5B, T_CARD_5C }, { T_CARD_6A, T_CARD_6B, T_CARD_6C } };
static const char *const step_minutes[STEPS] = { "0–3", "3–5", "5–10", "10–15", "15–25", "25–30" };
static const enum text_key donts[4] = { T_CARD_DONT_1, T_CARD_DONT_2, T_CARD_DONT_3, T_CARD_DONT_4 };

static json_t *card_json(struct api *a, enum text_lang lang)
{
    json_t *inst = state_setting(a->state, "institution"), *steps = json_array(), *dont = json_array();
    for (size_t i = 0; i < 4; i++)
        api_append(dont, text_json(lang, donts[i]));
    for (size_t i = 0; i < STEPS; i++) {
        json_t *lines = json_array();
        for (size_t k = 0; k < 3; k++)
            api_append(lines, text_json(lang, step_lines[i][k]));
        api_append(steps, json_pack("{s:s,s:o,s:o}", "minutes", step_minutes[i], "title",
                              text_json(lang, step_heads[i]), "lines", lines));
    }
    char printed[96];
    sm_time_wareki(plat_clock_wall(), printed);
    json_t *j = json_pack("{s:o,s:o,s:s,s:s,s:o,s:o,s:o,s:o,s:s,s:o,s:o}", "title", text_json(lang, T_CARD_TITLE),
        "lead", text_json(lang, T_CARD_LEAD), "institution", api_str(inst, "name"), "address", api_str(inst, "address"),
        "calm", text_json(lang, T_CARD_CALM), "dont", dont, "steps", steps, "contacts", contacts_get(a, lang), "printed",
        printed, "say", TEXT_SAY(lang, T_CARD_SAY, api_str(inst, "name")), "review", text_json(lang, T_CARD_REVIEW));
    json_decref(inst);
    return j;
}

void h_card(struct api_call *c)
{
    api_reply(c, 200, card_json(c->api, c->lang));
}

static int put_html(struct sm_buf *b, const char *s)
{
    int r = 0;
    for (; *s && r == 0; s++)
        switch (*s) {
        case '&': r = sm_buf_put_span(b, SM_SPAN_STR("&amp;")); break;
        case '<': r = sm_buf_put_span(b, SM_SPAN_STR("&lt;")); break;
        case '>': r = sm_buf_put_span(b, SM_SPAN_STR("&gt;")); break;
        case '"': r = sm_buf_put_span(b, SM_SPAN_STR("&quot;")); break;
        default: r = sm_buf_put_u8(b, (uint8_t)*s);
        }
    return r;
}

/* A piece of markup in which each \1 is the next text, escaped. */
static int put_piece(struct sm_buf *b, const char *markup, const char *const *texts)
{
    int r = 0;
    for (; *markup && r == 0; markup++)
        r = *markup == '\1' ? put_html(b, *texts++) : sm_buf_put_u8(b, (uint8_t)*markup);
    return r;
}
#define PUT(b, markup, ...) put_piece(b, markup, (const char *const[]){ __VA_ARGS__, NULL })

static const char card_head[] =
    "<!doctype html>\n<html lang=\"ja\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
    "content=\"width=device-width, initial-scale=1\">\n"
    "<title>\1 - \1</title>\n<style>\n"
    "@page{size:A4;margin:10mm}*{box-sizing:border-box}body{margin:0 auto;max-width:190mm;padding:4mm;font:13pt/1.4 "
    "\"Noto Sans JP\",\"Noto Sans CJK JP\","
    "\"BIZ UDPGothic\",\"Hiragino Sans\",\"Yu Gothic "
    "UI\",Meiryo,sans-serif;color:#000;background:#fff;line-break:strict}\n"
    "h1{font-size:24pt;margin:0}h2{font-size:14pt;margin:0}p{margin:1mm 0}ul{margin:0;padding:0;list-style:none}\n"
    ".dont{border:1.2mm solid #000;padding:2mm 3mm;margin:2mm 0}.dont ul{display:grid;grid-template-columns:1fr "
    "1fr}.dont li::before{content:\"\\2715 \";font-weight:700}\n"
    ".step{display:grid;grid-template-columns:22mm 1fr;gap:3mm;border-top:.3mm solid #000;padding:1.5mm "
    "0;break-inside:avoid}.step b{font-size:15pt}\n"
    ".step li::before{content:\"\\25A1 "
    "\"}table{width:100%;border-collapse:collapse;margin-top:2mm}caption{text-align:left;font-weight:700}\n"
    "td,th{border:.3mm solid #000;padding:1mm "
    "2mm;text-align:left;font-weight:400;font-size:11pt}td.no{font-size:17pt;font-weight:700;white-space:nowrap}\n"
    ".say{border:.6mm solid #000;padding:2mm}.foot{display:flex;justify-content:space-between;gap:4mm;font-size:10pt}\n"
    ".guide{break-before:page;margin-top:12mm}.guide li{margin:2mm 0}\n"
    "</style>\n</head>\n<body>\n<h1>\1</h1>\n<p>\1</p>\n<p>\1</p>\n<section class=\"dont\"><h2>\1</h2><ul>\n";

/* Of no machine: whoever stands before the box may read this page, and what a machine is tells an attacker where to begin. */
static int card_guide(struct sm_buf *b, enum text_lang lang)
{
    int r = PUT(b, "<section class=\"guide\"><h1>\1</h1>\n<p>\1</p>\n<ol>\n", text_get(lang, T_GUIDE_TITLE),
        text_get(lang, T_GUIDE_LEAD));
    for (int i = T_GUIDE_1; i <= T_GUIDE_8; i++)
        r = r < 0 ? r : PUT(b, "<li>\1</li>\n", text_get(lang, (enum text_key)i));
    return r < 0 ? r : PUT(b, "</ol>\n<p>\1</p></section>\n", text_get(lang, T_GUIDE_FACTS));
}

static int card_body(struct sm_buf *b, const json_t *card, enum text_lang lang)
{
    json_t *v, *line;
    size_t i, k;
    int r = PUT(b, card_head, api_str(card, "title"), api_str(card, "institution"), api_str(card, "title"),
        api_str(card, "lead"), api_str(card, "calm"), text_get(lang, T_CARD_DONT));
    json_array_foreach(json_object_get(card, "dont"), i, v)
        r = r < 0 ? r : PUT(b, "<li>\1</li>\n", json_string_value(v));
    r = r < 0 ? r : PUT(b, "</ul></section>\n", NULL);
    json_array_foreach(json_object_get(card, "steps"), i, v) {
        r = r < 0 ? r
                  : PUT(b, "<div class=\"step\"><b>\1\1</b><div><h2>\1</h2><ul>", api_str(v, "minutes"),
                        text_get(lang, T_CARD_MINUTES), api_str(v, "title"));
        json_array_foreach(json_object_get(v, "lines"), k, line)
            r = r < 0 ? r : PUT(b, "<li>\1</li>", json_string_value(line));
        r = r < 0 ? r : PUT(b, "</ul></div></div>\n", NULL);
    }
    r = r < 0 ? r : PUT(b, "<table><caption>\1</caption><tbody>\n", text_get(lang, T_CARD_CALLS));
    json_array_foreach(json_object_get(card, "contacts"), i, v) {
        char n[32];
        (void)snprintf(n, sizeof n, "%zu ", i + 1); /* fits */
        r = r < 0 ? r
                  : PUT(b, "<tr><th scope=\"row\">\1\1</th><td class=\"no\">\1</td><td>\1 \1</td></tr>\n", n,
                        api_str(v, "name"), api_str(v, "phone"), api_str(v, "hours"), api_str(v, "note"));
    }
    r = r < 0 ? r
              : PUT(b,
                    "</tbody></table>\n<p class=\"say\">\1</p>\n<p class=\"foot\"><span>\1 "
                    "\1</span><span>\1</span></p>\n",
                    api_str(card, "say"), api_str(card, "institution"), api_str(card, "printed"), api_str(card, "review"));
    r = r < 0 ? r : card_guide(b, lang);
    return r < 0 ? r : PUT(b, "</body>\n</html>\n", NULL);
}

void card_write(struct api *a)
{
    enum text_lang lang = api_box_lang(a);
    json_t *card = card_json(a, lang);
    struct sm_buf b = SM_BUF_INIT((size_t)1 << 20), path = SM_BUF_INIT(8192);
    int r = card_body(&b, card, lang);
    if (r == 0)
        r = sm_buf_printf(&path, "%s/public", a->data);
    const char *dir = r == 0 ? sm_buf_str(&path) : NULL;
    if (dir && plat_fs_mkdir_p(dir, 0755) == 0) {
        int fd = plat_fs_open_dir(AT_FDCWD, dir);
        if (fd >= 0) {
            /* Written again every day; until then the old one stands. */
            (void)!plat_replace(fd, "card.html", sm_buf_span(&b), 0644);
            if (*api_str(a->keys, "ca_pem"))
                (void)!plat_replace(fd, "ca.pem", SM_SPAN_STR(api_str(a->keys, "ca_pem")), 0644);
            (void)close(fd);
        }
    }
    json_decref(card);
    sm_buf_wipe(&b);
    sm_buf_wipe(&path);
}
