/* Booked remote maintenance: who, what, when, from where.  A session within its window is filed there; one outside is a signal. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "api/watch.h"

#define SESSIONS_MAX 200
#define LONGEST_S ((int64_t)31 * 86400)
#define AHEAD_S ((int64_t)400 * 86400)

static bool has(const json_t *entities, const char *kind, const char *wanted, bool net)
{
    size_t i;
    const json_t *row;
    json_array_foreach(entities, i, row) {
        const char *k = json_string_value(json_array_get(row, 0)), *text = json_string_value(json_array_get(row, 1));
        if (k && text && !strcmp(k, kind) && (net ? address_in(text, wanted) : !strcasecmp(text, wanted)))
            return true;
    }
    return false;
}

/* Several rules may fire on one sign-in: it is one session. */
static bool filed(const json_t *sessions, int64_t at_s, const json_t *entities)
{
    size_t i;
    const json_t *row;
    json_array_foreach(sessions, i, row)
        if (api_time_s(api_str(row, "at")) == at_s && json_equal(json_object_get(row, "entities"), entities))
            return true;
    return false;
}

char *maintenance_covers(struct api *a, const json_t *signal, int64_t at_s)
{
    json_t *rows = api_rows(a, STATE_maintenance_at, STATE_ARGS(state_i(at_s))), *row;
    const json_t *entities = json_object_get(signal, "entities");
    char *found = NULL;
    size_t i;
    json_array_foreach(rows, i, row) {
        const char *account = api_str(row, "account"), *address = api_str(row, "address");
        json_t *sessions = json_object_get(row, "sessions");
        if ((*account && !has(entities, "account", account, false)) || (*address && !has(entities, "address", address, true)))
            continue;
        found = strdup(api_str(row, "id"));
        if (json_array_size(sessions) < SESSIONS_MAX && !filed(sessions, at_s, entities)) {
            api_append(sessions, json_pack("{s:o,s:O?,s:O?}", "at", api_time(at_s), "rule", json_object_get(signal, "rule"), "entities", entities));
            (void)!state_do(a->state, STATE_maintenance_session, STATE_ARGS(state_j(sessions), state_t(api_str(row, "id")))); /* it is in the signals, too */
        }
        break;
    }
    json_decref(rows);
    return found;
}

bool maintenance_elsewhere(struct api *a, const json_t *signal, int64_t at_s)
{
    json_t *rows = api_rows(a, STATE_maintenance_at, STATE_ARGS(state_i(at_s))), *row;
    bool elsewhere = false;
    size_t i;
    json_array_foreach(rows, i, row) {
        const char *account = api_str(row, "account");
        elsewhere |= *account && *api_str(row, "address") && has(json_object_get(signal, "entities"), "account", account, false);
    }
    json_decref(rows);
    return elsewhere;
}

/* ---- routes ---- */

void h_maintenance(struct api_call *c)
{
    int64_t limit, offset;
    if (!api_page(c, &limit, &offset))
        return;
    bool open = !strcmp(api_str(c->query, "open"), "1");
    api_reply_list(c, api_rows(c->api, STATE_maintenance, STATE_ARGS(state_i(open), state_i(api_now()), state_i(limit + 1), state_i(offset))), limit, offset);
}

/* Half of the internet is nobody's vendor: a net is a /8 at most (10.0.0.0/8), of IPv6 a /16. */
static bool too_wide(const struct address_net *net)
{
    return net->bits < (net->len == 4 ? 8 : 16);
}

/* Why a time cannot be booked; false when it can. */
static bool bad_time(int64_t from, int64_t until, int64_t now, const char **ret_field, enum text_key *ret_key)
{
    const struct { bool bad; const char *field; enum text_key key; } all[] = {
        { !from, "from", T_MOMENT_FORM },
        { !until, "until", T_MOMENT_FORM },
        { from > now + AHEAD_S, "from", T_BOOK_AHEAD },
        { until <= from, "until", T_BOOK_ORDER },
        { until <= now, "until", T_BOOK_PAST },
        { until - from > LONGEST_S, "until", T_BOOK_LONG },
    };

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].bad) {
            *ret_field = all[i].field;
            *ret_key = all[i].key;
            return true;
        }
    return false;
}

/* Whoever is booked is filed instead of told: it must be somebody, not everybody. */
static bool bad_who(const char *account, const char *address, const char **ret_field, enum text_key *ret_key)
{
    struct address_net net;
    bool form = *address && !address_net(address, &net);

    *ret_field = "address";
    *ret_key = form ? T_BOOK_ADDRESS : *address ? T_BOOK_WIDE : T_BOOK_WHO;
    return form || (*address ? too_wide(&net) : !*account);
}

void h_maintenance_post(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *vendor = sm_obj_str(&o, "vendor", 1, 120), *purpose = sm_obj_str(&o, "purpose", 1, 500),
               *account = sm_obj_str_opt(&o, "account", 120), *address = sm_obj_str_opt(&o, "address", 64);
    const char *from_text = sm_obj_str(&o, "from", 10, 40), *until_text = sm_obj_str(&o, "until", 10, 40), *field;
    if (api_refused(c, &o))
        return;
    int64_t from = 0, until = 0, now = api_now();
    enum text_key key;
    account = account ? account : "";
    address = address ? address : "";
    (void)api_moment(from_text, false, &from); /* 0 stays: refused below */
    (void)api_moment(until_text, true, &until); /* as above */
    char id[API_ID_TEXT];
    api_id(id);
    api_audit_what(c, "%s %s", id, vendor);
    if (bad_time(from, until, now, &field, &key) || bad_who(account, address, &field, &key))
        api_fail_say(c, 400, "bad_request", field, text_get(c->lang, key), NULL);
    else if (api_do(c, STATE_maintenance_add, STATE_ARGS(state_t(id), state_t(vendor), state_t(purpose), state_t(*account ? account : NULL),
                 state_t(*address ? address : NULL), state_i(from), state_i(until), state_t(c->who.account), state_i(now))))
        api_reply(c, 201, json_pack("{s:s,s:o,s:o}", "id", id, "from", api_time(from), "until", api_time(until)));
}

void h_maintenance_delete(struct api_call *c)
{
    api_audit_what(c, "%s", c->part[0]);
    int r = state_do(c->api->state, STATE_maintenance_end, STATE_ARGS(state_i(api_now()), state_t(c->who.account), state_t(c->part[0]), state_i(api_now())));
    api_changed(c, r);
}
