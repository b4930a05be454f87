/*
 * What a machine is to do about an attack: each action is a row of the table, becomes an order of the kind `act` (or `scan`), and is
 * kept with what came of it.  The machine's part actor verifies the order and has the last word (PROTOCOL-agent.md, "Acts").
 */
#include "api/device_actions.h"

#include "api/endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "plat/netfilter.h"

enum { ARGS_BYTES = 24 << 10, PROCESSES_MAX = 200, FACTS_BYTES = 6 << 10, DETAIL_BYTES = 2000, PATHS_MAX = 64 };
#define DAY_S INT64_C(86400)
#define FOR_MAX_S (30 * DAY_S)
#define SOON_S 600      /* what is only right now */

/* ---- the table ---- */

static const char *none_of(const json_t *args)
{
    (void)args;
    return NULL;
}

static bool text_in(const json_t *args, const char *key, size_t min, size_t max)
{
    const json_t *v = json_object_get(args, key);
    return json_is_string(v) && json_string_length(v) >= min && json_string_length(v) <= max;
}

/* Of the form alone: the machine looks closer. */
static const char *to_of(const json_t *args)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:/_-";
    const char *to = api_str(args, "to");
    return text_in(args, "to", 2, 253) && strspn(to, letters) == strlen(to) && strpbrk(to, ".:") ? NULL : "to";
}

/* Refused before it is sent: too much of the network, or the machine itself.  The machine knows its box, and looks again. */
static const char *refused_to(const char *to)
{
    struct plat_nf_to t;
    if (plat_nf_wide(to))
        return "this is too much of the network: at least /8, with IPv6 /16";
    bool own = !plat_nf_parse(to, &t) && plat_nf_own(&t);
    return own ? "this would cut the machine off from its box or from itself" : NULL;
}

static const char *shorter_of(const json_t *args)
{
    const json_t *v = json_object_get(args, "shorter");
    return v && !json_is_boolean(v) ? "shorter" : NULL;
}

static const char *block_to_of(const json_t *args)
{
    const char *bad = to_of(args);
    return bad ? bad : refused_to(api_str(args, "to")) ? "to" : NULL;
}

static const char *sha_of(const json_t *args)
{
    return api_is_hex(api_str(args, "sha256"), 64) ? NULL : "sha256";
}

static const char *account_of(const json_t *args)
{
    const char *s = api_str(args, "account");
    bool good = text_in(args, "account", 1, 32) && *s != '-' &&
                strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == strlen(s);
    return good ? NULL : "account";
}

static const char *processes_of(const json_t *args)
{
    const json_t *list = json_object_get(args, "processes"), *row;
    size_t i, n = json_array_size(list);
    if ((!n && api_int(args, "tree", 0) <= 0) || n > PROCESSES_MAX)
        return "processes";
    json_array_foreach(list, i, row)
        if (api_int(row, "pid", 0) <= 1 || api_int(row, "start", 0) <= 0)
            return "processes";
    return NULL;
}

static const char *tree_of(const json_t *args)
{
    return api_int(args, "tree", 0) > 0 ? NULL : "tree";
}

static const char *number_of(const json_t *args)
{
    return api_int(args, "number", 0) > 0 || api_int(args, "tree", 0) > 0 ? NULL : "number";
}

static const char *path_of(const json_t *args)
{
    bool text = text_in(args, "path", 2, 4096) && api_str(args, "path")[0] == '/';
    return text || text_in(args, "path64", 2, 6000) ? NULL : "path";
}

static const char *id_of(const json_t *args)
{
    return text_in(args, "id", 1, 64) ? NULL : "id";
}

static const char *paths_of(const json_t *args)
{
    const json_t *list = json_object_get(args, "paths"), *v;
    size_t i;
    if (!list)
        return NULL;
    if (!json_is_array(list) || json_array_size(list) > PATHS_MAX)
        return "paths";
    json_array_foreach(list, i, v)
        if (!json_is_string(v) || json_string_value(v)[0] != '/' || json_string_length(v) > 4096)
            return "paths";
    return NULL;
}

static const struct kind {
    const char *name, *order;   /* order: its kind */
    const char *(*bad)(const json_t *args); /* NULL, or the field */
    const char *about;          /* the arg that tells one from another */
    const char *undoes;         /* the action it takes back */
    int64_t lasts_s;            /* so long a machine that is off may still take it */
    int64_t for_s;              /* how long it holds; 0: until it is taken back; -1: it has no duration */
    bool vendor, finding;       /* vendor: may too; finding: only of one */
} kinds[] = {
    {"isolate", "act", shorter_of, NULL, NULL, DAY_S, DAY_S, true, false},
    {"release", "act", none_of, NULL, "isolate", DAY_S, -1, true, false},
    {"block_address", "act", block_to_of, "to", NULL, DAY_S, 0, false, false},
    {"unblock_address", "act", to_of, "to", "block_address", DAY_S, -1, false, false},
    {"block_file", "act", sha_of, "sha256", NULL, DAY_S, 0, false, false},
    {"unblock_file", "act", sha_of, "sha256", "block_file", DAY_S, -1, false, false},
    {"disable_account", "act", account_of, "account", NULL, DAY_S, -1, false, false},
    {"enable_account", "act", account_of, "account", "disable_account", DAY_S, -1, false, false},
    {"kill", "act", processes_of, NULL, NULL, SOON_S, -1, false, false},
    {"stop", "act", tree_of, NULL, NULL, SOON_S, -1, false, true},
    {"resume", "act", tree_of, NULL, NULL, SOON_S, -1, false, true},
    {"excuse", "act", tree_of, NULL, NULL, SOON_S, -1, false, true},
    {"give_back", "act", tree_of, NULL, NULL, DAY_S, -1, false, true},
    {"undo_give_back", "act", number_of, NULL, "give_back", DAY_S, -1, false, true},
    {"uninstall", "act", none_of, NULL, NULL, 3600, -1, false, false},
    {"evidence", "act", none_of, NULL, NULL, DAY_S, -1, true, false},
    {"scan", "scan", paths_of, NULL, NULL, DAY_S, -1, true, false},
    {"quarantine", "act", path_of, "path", NULL, DAY_S, -1, false, false},
    {"unquarantine", "act", id_of, "id", NULL, DAY_S, -1, false, false},
    {"remove_quarantine", "act", id_of, "id", NULL, DAY_S, -1, false, false},
};

static const struct kind *kind_of(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i].name, name))
            return &kinds[i];
    return NULL;
}

static const char *undone_by(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].undoes && !strcmp(kinds[i].undoes, name))
            return kinds[i].name;
    return NULL;
}

/* ---- making one ---- */

static void tell(struct api *a, const char *id, const char *device, const char *state)
{
    api_event(a, "action", id, json_pack("{s:s,s:s,s:s}", "id", id, "device", device, "state", state));
}

static const char *what_of(const struct kind *k, const json_t *args)
{
    return k->about ? api_str(args, k->about) : "";
}

int device_action_make(struct api *a, const struct device_action_new *n, char ret_id[API_ID_TEXT], const char **ret_field)
{
    const struct kind *k = kind_of(n->action);
    struct sm_buf size = SM_BUF_INIT(ARGS_BYTES);
    int64_t now = api_now();
    *ret_field = k ? k->bad(n->args) : "action";
    int64_t for_s = k && n->for_s == 0 ? k->for_s : n->for_s;
    if (!*ret_field && k->for_s < 0 && n->for_s)
        *ret_field = "for_s";
    else if (!*ret_field && k->for_s >= 0 && for_s && (for_s < 60 || for_s > FOR_MAX_S))
        *ret_field = "for_s";
    if (!*ret_field && sm_json_dump(n->args, &size) < 0)
        *ret_field = "args";
    sm_buf_wipe(&size);
    if (*ret_field)
        return -SM_EINVAL;
    for_s = for_s < 0 ? 0 : for_s;
    api_id(ret_id);
    int r = state_do(a->state, STATE_device_action_add,
        STATE_ARGS(state_t(ret_id), state_t(n->device), state_t(k->name), state_j(n->args), state_t(what_of(k, n->args)),
            state_i(for_s), state_t(n->finding), state_t(n->by), state_t(n->by_name), state_i(now), state_i(now + k->lasts_s)));
    if (r < 0)
        return r;
    json_t *args = json_pack("{s:s,s:O}", "action", k->name, "args", n->args);
    if (for_s)
        api_set(args, "for_s", json_integer((json_int_t)for_s));
    if (n->finding)
        api_set(args, "finding", json_string(n->finding));
    order_make(a, n->device, k->order, ret_id, k->lasts_s, args);
    tell(a, ret_id, n->device, "sent");
    return 0;
}

/* ---- what came of it ---- */

void device_action_told(struct api *a, const json_t *order, const char *state, const char *detail, const json_t *facts)
{
    const char *id = api_str(order, "ref");
    json_t *row = api_row(a, STATE_device_action, STATE_ARGS(state_t(id)));
    const struct kind *k = kind_of(api_str(row, "action"));
    bool done = !strcmp(state, "done");
    const char *is = done ? "done" : !strcmp(state, "accepted") ? "taken" : "failed";
    struct sm_buf size = SM_BUF_INIT(FACTS_BYTES);
    int64_t now = api_now(), for_s = api_int(row, "for_s", 0), kept_s = api_int(facts, "kept_s", 0);
    if (facts && sm_json_dump(facts, &size) < 0)
        facts = NULL;
    sm_buf_wipe(&size);
    if (done && kept_s > for_s && kept_s <= FOR_MAX_S && !strcmp(api_str(row, "action"), "isolate"))
        for_s = kept_s; /* a longer isolation stayed */
    if (row && k && (!strcmp(api_str(row, "state"), "sent") || !strcmp(api_str(row, "state"), "taken"))) {
        (void)!state_do(a->state, STATE_device_action_state,
            STATE_ARGS(state_t(is), state_t(detail ? detail : ""), state_j(facts), state_i(now), state_i(done && for_s ? now + for_s : 0),
                state_t(id))); /* a database that fails has an alarm of its own */
        if (done && k->undoes)
            (void)!state_do(a->state, STATE_device_actions_undone,
                STATE_ARGS(state_i(now), state_t(api_str(row, "device")), state_t(k->undoes), state_t(api_str(row, "about")))); /* as above */
        if (done && (!strcmp(k->name, "isolate") || !strcmp(k->name, "release")))
            endpoint_isolated(a, api_str(row, "device"), !strcmp(k->name, "isolate"), for_s ? now + for_s : 0);
        tell(a, id, api_str(row, "device"), is);
    }
    json_decref(row);
}

void device_actions_tick(struct api *a)
{
    int64_t now = api_now();
    /* A machine that was off all the time; and what is over by itself, which the machine ended by its own clock. */
    (void)!state_do(a->state, STATE_device_actions_late, STATE_ARGS(state_i(now))); /* with the next tick */
    (void)!state_do(a->state, STATE_device_actions_over, STATE_ARGS(state_i(now))); /* as above */
}

/* ---- routes ---- */

static json_t *action_json(struct api *a, const json_t *row, enum text_lang lang)
{
    static const char *const same[] = {"id", "device", "action", "args", "state", "at", "until", "ended", "finding", "facts"};
    const char *detail = api_str(row, "detail"), *undo = undone_by(api_str(row, "action"));
    json_t *o = json_object();
    json_t *pack = !strcmp(api_str(row, "action"), "evidence") ? api_row(a, STATE_evidence_of, STATE_ARGS(state_t(api_str(row, "id")))) : NULL;
    for (size_t i = 0; i < sizeof same / sizeof *same; i++)
        api_set(o, same[i], json_incref(json_object_get(row, same[i])));
    api_set(o, "by", json_string(*api_str(row, "by") ? api_str(row, "by") : "policy"));
    api_set(o, "by_name", json_string(api_str(row, "by_name")));
    api_set(o, "detail", *detail ? why_words("other", detail, lang) : json_string(""));
    api_set(o, "pack", pack ? json_incref(json_object_get(pack, "id")) : json_null());
    json_decref(pack);
    api_set(o, "undo", undo && !strcmp(api_str(row, "state"), "done") ? json_string(undo) : json_null());
    return o;
}

void h_device_actions(struct api_call *c)
{
    int64_t limit, offset;
    if (!api_page(c, &limit, &offset))
        return;
    json_t *d = api_row(c->api, STATE_device, STATE_ARGS(state_t(c->part[0])));
    if (!d) {
        api_fail(c, 404, "not_found", NULL, NULL);
        return;
    }
    json_decref(d);
    device_actions_tick(c->api);
    json_t *rows = api_rows(c->api, STATE_device_actions, STATE_ARGS(state_t(c->part[0]), state_i(limit + 1), state_i(offset))),
           *items = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row) api_append(items, action_json(c->api, row, c->lang));
    json_decref(rows);
    api_reply_list(c, items, limit, offset);
}

static void make(struct api_call *c, struct device_action_new *n)
{
    char id[API_ID_TEXT];
    const char *field = NULL;
    n->by = c->who.person;
    n->by_name = c->who.name;
    int r = device_action_make(c->api, n, id, &field);
    const char *refused = field && !strcmp(field, "to") ? refused_to(api_str(n->args, "to")) : NULL;
    json_t *words = refused ? why_words("other", refused, c->lang) : NULL;
    if (words)
        api_fail_say(c, 400, "bad_request", field, json_string_value(words), NULL);
    else if (field)
        api_fail(c, 400, "bad_request", field, NULL);
    else if (r < 0)
        api_fail_err(c, r, NULL);
    else
        api_reply(c, 202, json_pack("{s:s}", "id", id));
    json_decref(words);
}

void h_device_action_post(struct api_call *c)
{
    static const char *const known[] = {"action", "args", "for_s", NULL};
    struct sm_obj o = SM_OBJ(c->body);
    const char *action = sm_obj_str(&o, "action", 1, 32);
    const json_t *args = sm_obj_obj(&o, "args");
    int64_t for_s = sm_obj_int_opt(&o, "for_s", 0, FOR_MAX_S, 0);
    sm_obj_only(&o, known);
    api_audit_what(c, "%s %s", c->part[0], action);
    if (api_refused(c, &o))
        return;
    const struct kind *k = kind_of(action);
    json_t *d = api_row(c->api, STATE_device, STATE_ARGS(state_t(c->part[0]))), *none = json_object();
    if (k)
        api_audit_what(c, "%s %s %.200s", c->part[0], action, what_of(k, args));
    struct device_action_new n = {.device = c->part[0], .action = action, .args = args ? args : none, .for_s = for_s};
    if (!d || strcmp(api_str(d, "state"), "joined") != 0)
        api_fail(c, 404, "not_found", NULL, NULL);
    else if (!k)
        api_fail(c, 400, "bad_request", "action", NULL);
    else if (c->who.bit == API_VENDOR && !k->vendor)
        api_fail(c, 403, "denied", "action", NULL);
    else if (k->finding)
        api_fail_say(c, 400, "bad_request", "action", "this is done about a finding: POST /findings/{id}/actions", NULL);
    else
        make(c, &n);
    json_decref(d);
    json_decref(none);
}

/* ---- about a finding ---- */

/* The processes of a finding, by number and start. */
static json_t *processes(const json_t *finding)
{
    json_t *out = json_array(), *row;
    size_t i;
    json_array_foreach(json_object_get(json_object_get(finding, "body"), "processes"), i, row)
        if (json_array_size(out) < PROCESSES_MAX && api_int(row, "pid", 0) > 1 && api_int(row, "start", 0) > 0)
            api_append(out, json_pack("{s:I,s:I}", "pid", (json_int_t)api_int(row, "pid", 0), "start", (json_int_t)api_int(row, "start", 0)));
    return out;
}

json_t *finding_action_args(const json_t *finding, const char *action, const json_t *given)
{
    const json_t *body = json_object_get(finding, "body");
    json_t *args = given ? json_deep_copy(given) : json_object();
    int64_t tree = api_int(body, "tree", 0);
    if (tree)
        api_set(args, "tree", json_integer((json_int_t)tree));
    if (!strcmp(action, "kill"))
        api_set(args, "processes", processes(finding)); /* none, where only the tree's number is known */
    if (!strcmp(action, "quarantine") && !json_object_get(args, "path") && *api_str(body, "program"))
        api_set(args, "path", json_string(api_str(body, "program")));
    return args;
}

void h_finding_action(struct api_call *c)
{
    static const char *const may[] = {"kill", "stop", "resume", "give_back", "undo_give_back", "quarantine", "excuse", NULL};
    static const char *const known[] = {"action", "args", NULL};
    struct sm_obj o = SM_OBJ(c->body);
    const char *action = sm_obj_str(&o, "action", 1, 32);
    const json_t *given = sm_obj_obj(&o, "args");
    size_t i = 0;
    sm_obj_only(&o, known);
    api_audit_what(c, "%s %s", c->part[0], action);
    if (api_refused(c, &o))
        return;
    while (may[i] && strcmp(may[i], action) != 0)
        i++;
    json_t *f = may[i] ? api_row(c->api, STATE_finding, STATE_ARGS(state_t(c->part[0]))) : NULL;
    if (!f) {
        api_fail(c, may[i] ? 404 : 400, may[i] ? "not_found" : "bad_request", may[i] ? NULL : "action", NULL);
        return;
    }
    json_t *args = finding_action_args(f, action, given);
    struct device_action_new n = {.device = api_str(f, "device"), .action = action, .args = args, .finding = c->part[0]};
    make(c, &n);
    json_decref(args);
    json_decref(f);
}
