/* Incidents as people see them: a title, a story in order, what to do next, and their end. */
#include <stdlib.h>
#include <string.h>
#include "api/endpoint.h"
#include "api/watch.h"

static json_t *head_json(const json_t *row, enum text_lang lang)
{
    const json_t *facts = json_object_get(row, "facts");
    const char *word = lang == TEXT_JA ? "ja" : "en";
    return json_pack("{s:O,s:O,s:O,s:s,s:O,s:O,s:O,s:O?,s:O?,s:O?,s:O?,s:O?,s:O?,s:O?,s:O?}", "id", json_object_get(row, "id"), "state",
        json_object_get(row, "state"), "severity", json_object_get(row, "severity"), "title", both_in(json_object_get(facts, "title"), lang),
        "opened", json_object_get(row, "opened"), "first", json_object_get(row, "first"), "last", json_object_get(row, "last"), "closed",
        json_object_get(row, "closed"), "verdict", json_object_get(row, "verdict"), "by", json_object_get(row, "by"), "note",
        json_object_get(row, "note"), "merged_into", json_object_get(row, "into_id"), "stages", json_object_get(facts, "stages"),
        "entities", json_object_get(facts, "entities"), "next", json_object_get(json_object_get(facts, "steps"), word));
}

json_t *incident_words(struct api *a, int64_t incident, enum text_lang lang)
{
    json_t *s = api_row(a, STATE_signals_gravest, STATE_ARGS(state_i(incident)));
    const char *text = both_in(json_object_get(s, "text"), lang);
    bool plain = lang != TEXT_JA;
    for (const char *p = text; *p && !plain; p++)
        plain = (unsigned char)*p >= 0x80; /* a rule of others may have words in English alone */
    json_t *j = plain && *text ? json_string(text) : NULL;
    json_decref(s);
    return j;
}

void h_incidents(struct api_call *c)
{
    int64_t limit, offset;
    if (!api_page(c, &limit, &offset))
        return;
    bool open = !strcmp(api_str(c->query, "open"), "1");
    json_t *rows = api_rows(c->api, STATE_incidents, STATE_ARGS(state_i(open), state_i(limit + 1), state_i(offset))), *items = json_array(), *row;
    size_t i;
    json_array_foreach(rows, i, row)
        api_append(items, head_json(row, c->lang));
    json_decref(rows);
    api_reply_list(c, items, limit, offset);
}

static json_t *incident_row(struct api_call *c)
{
    json_t *row = api_row(c->api, STATE_incident, STATE_ARGS(state_i(strtoll(c->part[0], NULL, 10))));
    if (!row)
        api_fail(c, 404, "not_found", NULL, NULL);
    return row;
}

void h_incident(struct api_call *c)
{
    json_t *row = incident_row(c);
    if (!row)
        return;
    json_t *o = head_json(row, c->lang), *line = json_array(), *s;
    json_t *rows = api_rows(c->api, STATE_signals_of, STATE_ARGS(state_i(api_int(row, "id", 0))));
    size_t i;
    json_array_foreach(rows, i, s)
        api_append(line, signal_json(s, c->lang));
    api_set(o, "timeline", line);
    api_set(o, "responses", responses_of(c->api, api_int(row, "id", 0), c->lang));
    api_set(o, "findings", findings_of(c->api, json_object_get(o, "entities"), api_time_s(api_str(row, "first"))));
    json_decref(rows);
    json_decref(row);
    api_reply(c, 200, o);
}

void h_incident_close(struct api_call *c)
{
    static const char *const verdicts[] = { "attack", "harmless", "false-alarm" };
    struct sm_obj o = SM_OBJ(c->body);
    const char *verdict = sm_obj_str(&o, "verdict", 1, 16), *note = sm_obj_str(&o, "note", 1, 1000);
    bool known = false;
    if (api_refused(c, &o))
        return;
    for (size_t k = 0; k < sizeof verdicts / sizeof *verdicts; k++)
        known |= !strcmp(verdicts[k], verdict);
    json_t *row = known ? incident_row(c) : NULL;
    api_audit_what(c, "incident %s %s %s", c->part[0], verdict, note);
    if (!known) {
        api_fail(c, 400, "bad_request", "verdict", NULL);
    } else if (row && strcmp(api_str(row, "state"), "open") != 0) {
        api_fail(c, 409, "conflict", NULL, NULL);
    } else if (row) {
        incident_close(c->api, api_int(row, "id", 0), verdict, c->who.account, note);
        api_event(c->api, "incident", c->part[0], json_pack("{s:O}", "id", json_object_get(row, "id")));
        api_reply(c, 200, json_object());
    }
    json_decref(row);
}
