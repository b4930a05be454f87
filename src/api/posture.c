/* Posture of machines: what the box knows of each is gathered here, judged in posture_judge.c, and said in the caller's language. */
#include "api/posture.h"

#include "api/endpoint.h"

static void facts_of_sources(struct api *a, const char *device, struct posture_facts *f)
{
    json_t *rows = api_rows(a, STATE_sources_of_device, STATE_ARGS(state_t(device))), *s;
    size_t i;
    int64_t oldest = INT64_MAX;
    f->decoys = 0;
    json_array_foreach(rows, i, s) {
        int64_t saved = api_int(s, "last_ok_s", 0);
        if (!api_bool(s, "enabled"))
            continue;
        f->sources++;
        f->late |= source_late(s, f->now) || source_failing(s);
        f->decoys += api_bool(s, "canaries");
        oldest = saved < oldest ? saved : oldest;
    }
    f->backup_s = f->sources ? oldest : 0;
    json_decref(rows);
}

static int64_t logs_that_come(const json_t *device)
{
    const json_t *items = json_object_get(device, "logs_state"), *row;
    size_t i;
    int64_t n = 0;
    if (!json_is_array(items))
        return POSTURE_NOT_KNOWN;
    json_array_foreach(items, i, row)
        n += !strcmp(api_str(row, "state"), "ok");
    return n;
}

/* Doors that listen beyond the machine itself, as inspect tells them. */
static unsigned doors_of(const json_t *state)
{
    static const struct {
        int64_t port;
        unsigned bit;
    } doors[] = { { 22, POSTURE_SSH }, { 3389, POSTURE_RDP }, { 445, POSTURE_SMB }, { 139, POSTURE_SMB }, { 23, POSTURE_TELNET } };
    const json_t *list = json_object_get(json_object_get(state, "inspect"), "listening"), *v;
    size_t i;
    unsigned bits = 0;
    if (!json_is_array(list))
        return POSTURE_REMOTE_UNKNOWN;
    json_array_foreach(list, i, v) {
        int64_t port = json_is_integer(v) ? json_integer_value(v) : api_int(v, "port", 0);
        for (size_t k = 0; k < sizeof doors / sizeof *doors; k++)
            bits |= port == doors[k].port ? doors[k].bit : 0;
        bits |= port >= 5900 && port <= 5909 ? POSTURE_VNC : 0;
    }
    return bits;
}

static void facts_of_endpoint(struct api *a, const json_t *device, struct posture_facts *f)
{
    const json_t *state = json_object_get(device, "endpoint_state");
    const json_t *scan = json_object_get(state, "scan"), *defs = json_object_get(scan, "definitions");
    json_t *cover = endpoint_cover(device);
    const char *word = api_str(cover, "cover");
    f->cover = !strcmp(word, "on") ? 'o' : !strcmp(word, "part") ? 'p' : !strcmp(word, "off") ? 'f' : !strcmp(word, "starting") ? 's' :
        !strcmp(word, "empty") ? 'e' : 'n';
    json_decref(cover);
    f->definitions_s = !json_is_object(scan) ? POSTURE_NOT_KNOWN : json_is_string(defs) ? api_time_s(json_string_value(defs)) : 0;
    f->isolated = json_is_object(json_object_get(json_object_get(state, "actor"), "isolated"));
    f->remote = doors_of(state);
    f->open = (unsigned)state_number(a->state, STATE_findings_waiting, 0, STATE_ARGS(state_t(api_str(device, "id"))));
}

/* The machine's posture; device: its row. */
static json_t *posture_json(struct api *a, const json_t *device, enum text_lang lang)
{
    static const char *const states[] = { "good", "part", "bad", "unknown" }, *const guards[] = { "guarded", "look", "stopped", "none" };
    json_t *all = state_setting(a->state, "endpoint"), *policy = endpoint_policy_join(json_object_get(device, "endpoint"), all);
    json_t *facts = json_array(), *next = json_null();
    struct posture_facts f = { .now = api_now(), .seen_s = api_int(device, "last_seen_s", 0), .os = api_str(device, "os"), .logs = logs_that_come(device) };
    struct posture p;
    f.there = device_there(device, f.now);
    facts_of_sources(a, api_str(device, "id"), &f);
    facts_of_endpoint(a, device, &f);
    f.media = api_str(json_object_get(policy, "media"), "mode");
    f.by_policy = f.cover == 'f' && !strcmp(api_str(json_object_get(policy, "ransom"), "mode"), "off");
    f.media_held = f.cover != 'n';
    posture_judge(&f, &p);
    for (size_t i = 0; i < POSTURE_FACTS; i++) {
        const struct posture_row *r = &p.rows[i];
        json_t *o = json_pack("{s:s,s:s,s:i,s:i}", "id", posture_fact_names[i], "state", states[r->state], "points", (int)r->points, "of", (int)r->of);
        api_set(o, "text", TEXT_SAY(lang, r->text, r->args[0], r->args[1]));
        api_set(o, "todo", r->todo == TEXT_KEYS ? json_string("") : TEXT_SAY(lang, r->todo, r->args[0], r->args[1]));
        api_append(facts, o);
        if (p.next == (int)i)
            next = json_incref(o);
    }
    json_decref(policy);
    json_decref(all);
    json_t *o = json_pack("{s:s,s:s,s:s,s:i,s:i}", "device", api_str(device, "id"), "name", api_str(device, "name"), "state", guards[p.guard], "score",
        (int)p.score, "unknown", (int)p.unknown);
    api_set(o, "why", p.why == TEXT_KEYS ? json_string("") : TEXT_SAY(lang, p.why, p.why_arg));
    api_set(o, "facts", facts);
    api_set(o, "next", next);
    return o;
}

void h_posture(struct api_call *c)
{
    json_t *d = api_row(c->api, STATE_device, STATE_ARGS(state_t(c->part[0])));
    if (d)
        api_reply(c, 200, posture_json(c->api, d, c->lang));
    else
        api_fail(c, 404, "not_found", NULL, NULL);
    json_decref(d);
}

void h_postures(struct api_call *c)
{
    json_t *rows = api_rows(c->api, STATE_devices_joined, STATE_NONE), *items = json_array(), *d;
    size_t i;
    json_array_foreach(rows, i, d)
        api_append(items, posture_json(c->api, d, c->lang));
    json_decref(rows);
    api_reply(c, 200, json_pack("{s:o,s:n}", "items", items, "next"));
}
