/*
 * The guide to a bare machine: what it was, what belongs on it, in which order, and how long that took in the last drill.
 * Facts of the machine come from the manifest of its newest generation (signed there), times from the drills.
 */
#include <string.h>
#include "api/internal.h"

/* The last drill of a source, or null. */
static json_t *guide_drill(struct api *a, const char *source)
{
    json_t *row = api_row(a, STATE_drill_of_source, STATE_ARGS(state_t(source)));
    const json_t *r = json_object_get(row, "report");
    json_t *out = json_is_object(r) ? json_pack("{s:O,s:b,s:I,s:I,s:I,s:I,s:O?}", "at", json_object_get(row, "finished"), "ok",
                                          api_bool(row, "ok"), "files", (json_int_t)api_int(r, "files", 0), "bytes",
                                          (json_int_t)api_int(r, "bytes", 0), "restore_ms",
                                          (json_int_t)api_int(r, "restore_ms", 0), "estimate_s",
                                          (json_int_t)api_int(r, "estimate_s", 0), "server", json_object_get(r, "server"))
                                    : json_null();
    json_decref(row);
    return out;
}

static json_t *guide_source(struct api *a, const json_t *s)
{
    json_t *run = api_row(a, STATE_run_last_good, STATE_ARGS(state_t(api_str(s, "id"))));
    const json_t *n = json_object_get(run, "counters"), *last = json_object_get(s, "last");
    json_t *out = json_pack("{s:O,s:O,s:O,s:O,s:o,s:O?,s:O?,s:s,s:I,s:I,s:o}", "id", json_object_get(s, "id"), "name",
        json_object_get(s, "name"), "kind", json_object_get(s, "kind"), "paths", json_object_get(s, "paths"), "where",
        source_where(a, s), "databases",
        json_object_get(json_object_get(s, "options"), "databases"), "at", json_object_get(last, "at"), "saved",
        !json_is_object(last) ? "never" : api_int(s, "fails", 0) > 0 ? "failing" : "yes", "files",
        (json_int_t)api_int(n, "files", 0), "bytes", (json_int_t)api_int(n, "bytes", 0), "drill",
        guide_drill(a, api_str(s, "id")));
    json_decref(run);
    return out;
}

/* What is known of the time for everything: sources a drill measured, those that are taken to be as fast, and those
 * that were never saved and are in no sum. */
struct guide_sum { double s, measured_bytes, guessed_bytes; json_int_t measured, guessed, unsaved; };

static struct guide_sum guide_sum(const json_t *sources)
{
    struct guide_sum n = { 0 };
    for (size_t i = 0; i < json_array_size(sources); i++) {
        const json_t *s = json_array_get(sources, i), *d = json_object_get(s, "drill");
        if (!strcmp(api_str(s, "saved"), "never")) {
            n.unsaved++;
        } else if (json_is_object(d) && api_bool(d, "ok") && api_int(d, "estimate_s", 0) > 0) {
            n.s += (double)api_int(d, "estimate_s", 0);
            n.measured_bytes += (double)api_int(s, "bytes", 0);
            n.measured++;
        } else {
            n.guessed_bytes += (double)api_int(s, "bytes", 0);
            n.guessed++;
        }
    }
    return n;
}

/* Seconds for all that was saved.  Null when nothing was measured that the rest could be held against. */
static json_t *guide_estimate(const struct guide_sum *n)
{
    if (!n->measured || (n->guessed_bytes > 0 && n->measured_bytes <= 0))
        return json_null();
    double all = n->s + (n->guessed_bytes > 0 ? n->s * n->guessed_bytes / n->measured_bytes : 0);
    return json_integer(all < 1e9 ? (json_int_t)(all + 0.999) : 1000000000);
}

static void guide_reply(struct api_call *c, json_t *machine /* taken */)
{
    struct api *a = c->api;
    json_t *d = api_row(a, STATE_device, STATE_ARGS(state_t(c->part[0])));
    json_t *rows = api_rows(a, STATE_sources_of_device, STATE_ARGS(state_t(c->part[0]))), *row, *sources = json_array();
    json_t *inst = state_setting(a->state, "institution");
    char now[SM_TIME_TEXT];
    size_t i;
    int64_t bytes = 0;
    json_array_foreach(rows, i, row) {
        json_t *s = guide_source(a, row);
        bytes += api_int(s, "bytes", 0);
        api_append(sources, s);
    }
    sm_time_rfc3339((struct sm_time){ .s = api_now() }, now);
    const struct guide_sum sum = guide_sum(sources);
    json_t *out = json_pack("{s:s,s:s,s:{s:O,s:O,s:O?,s:O?},s:o,s:O?,s:I,s:o,s:{s:I,s:I,s:I}}", "made", now,
        "institution", api_str(inst, "name"), "device", "id", json_object_get(d, "id"), "name", json_object_get(d, "name"), "hostname", json_object_get(d, "hostname"),
        "os", json_object_get(d, "os"), "machine", json_is_object(machine) ? machine : json_null(), "at",
        json_object_get(c->mem, "at"), "bytes", (json_int_t)bytes, "estimate_s", guide_estimate(&sum), "estimate_of",
        "measured", sum.measured, "guessed", sum.guessed, "unsaved", sum.unsaved);
    if (!json_is_object(machine))
        json_decref(machine);
    api_set(out, "sources", sources);
    json_decref(inst);
    json_decref(rows);
    json_decref(d);
    api_reply(c, 200, out);
}

static void guide_got(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *j = NULL;
    struct sm_span raw;
    if (!answer_split(c, err, body, text, &j, &raw))
        return;
    api_set(c->mem, "at", json_incref(json_object_get(json_object_get(j, "generation"), "at")));
    json_t *m = json_incref(json_object_get(json_object_get(j, "facts"), "machine"));
    json_decref(j);
    guide_reply(c, m);
}

void h_guide(struct api_call *c)
{
    json_t *d = api_row(c->api, STATE_device, STATE_ARGS(state_t(c->part[0])));
    json_t *rows = d ? api_rows(c->api, STATE_sources_of_device, STATE_ARGS(state_t(c->part[0]))) : NULL, *row;
    char newest[65] = "", at[40] = "";
    size_t i;
    json_array_foreach(rows, i, row) {
        const json_t *last = json_object_get(row, "last");
        if (api_is_hex(api_str(last, "manifest"), 64) && strcmp(api_str(last, "at"), at) > 0) {
            (void)snprintf(newest, sizeof newest, "%s", api_str(last, "manifest"));
            (void)snprintf(at, sizeof at, "%s", api_str(last, "at"));
        }
    }
    if (!d)
        api_fail(c, 404, "not_found", NULL, NULL);
    else if (newest[0])
        api_ask(c, "V_GENERATION", json_pack("{s:s}", "manifest", newest), guide_got);
    else
        guide_reply(c, NULL);
    json_decref(rows);
    json_decref(d);
}
