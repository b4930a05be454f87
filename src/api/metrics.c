/*
 * The figures of the box for a monitoring system (text exposition format 0.0.4 of Prometheus), and the tokens that let
 * one read them.  Names and labels are a contract: docs/OPERATIONS.md lists them.  No name of a person or file is in them.
 */
#include <string.h>
#include "api/internal.h"
#include "api/watch.h"

#define METRICS_MAX ((size_t)4 << 20)
#define LABEL_MAX 200u
#define MONITOR_NAME_MAX 100

/* One family at a time: its head, then its samples.  The first error stays. */
struct page { struct sm_buf b; int r; };

static void head(struct page *p, const char *name, const char *type, const char *help)
{
    if (p->r == 0)
        p->r = sm_buf_printf(&p->b, "# HELP sakimori_%s %s\n# TYPE sakimori_%s %s\n", name, help, name, type);
}

static void label(struct page *p, const char *name, const char *value, bool first)
{
    if (p->r == 0)
        p->r = sm_buf_printf(&p->b, "%s%s=\"", first ? "{" : ",", name);
    for (size_t i = 0; value[i] && i < LABEL_MAX && p->r == 0; i++) {
        if (value[i] == '\n')
            p->r = sm_buf_put(&p->b, "\\n", 2);
        else if (value[i] == '"' || value[i] == '\\')
            p->r = sm_buf_printf(&p->b, "\\%c", value[i]);
        else
            p->r = sm_buf_put_u8(&p->b, (uint8_t)value[i]);
    }
    if (p->r == 0)
        p->r = sm_buf_put_u8(&p->b, '"');
}

/* Up to two labels; NULL names are left out. */
static void sample(struct page *p, const char *name, const char *l1, const char *v1, const char *l2, const char *v2, int64_t value)
{
    if (p->r == 0)
        p->r = sm_buf_printf(&p->b, "sakimori_%s", name);
    if (l1)
        label(p, l1, v1, true);
    if (l2)
        label(p, l2, v2, !l1);
    if (p->r == 0)
        p->r = sm_buf_printf(&p->b, "%s %lld\n", l1 || l2 ? "}" : "", (long long)value);
}

static void gauge(struct page *p, const char *name, const char *help, int64_t value)
{
    head(p, name, "gauge", help);
    sample(p, name, NULL, NULL, NULL, NULL, value);
}

/* ---- the families ---- */

static void put_box(struct page *p, struct api *a, bool vault_answers)
{
    const json_t *t = json_object_get(a->vault, "totals"), *v;
    const char *name;
    head(p, "info", "gauge", "Version of the program; always 1.");
    sample(p, "info", "version", SM_VERSION, "vault", api_str(a->keys, "vault"), 1);
    head(p, "process_up", "gauge", "1 while a process of the box works.");
    json_object_foreach(a->children, name, v)
        if (api_child_lasting(name))
            sample(p, "process_up", "process", name, NULL, NULL, !strcmp(api_str(v, "state"), "up"));
    head(p, "process_restarts_total", "counter", "How often a process had to be started again.");
    json_object_foreach(a->children, name, v)
        sample(p, "process_restarts_total", "process", name, NULL, NULL, api_int(v, "restarts", 0));
    gauge(p, "vault_answers", "1 when the vault answered this request.", vault_answers);
    gauge(p, "vault_broken", "1 when the vault accepts nothing until somebody looks.", api_bool(a->vault, "broken"));
    gauge(p, "vault_packs", "Packs in the vault.", api_int(t, "packs", 0));
    gauge(p, "vault_bytes", "Bytes of all packs.", api_int(t, "pack_bytes", 0));
    gauge(p, "vault_generations", "Generations in the vault.", api_int(t, "generations", 0));
    gauge(p, "disk_bytes", "Size of the vault's disk.", api_int(t, "disk_total", 0));
    gauge(p, "disk_free_bytes", "Free room on the vault's disk.", api_int(t, "disk_avail", 0));
    gauge(p, "disk_reserved_bytes", "Room that backups may not take.", api_int(t, "reserve", 0));
    gauge(p, "restore_key_unlocked", "1 while the restore key is unlocked.", api_unlocked(a));
    gauge(p, "audit_lines", "Lines of the audit log.", (int64_t)audit_head(a->audit).n);
}

/* Logs past one machine: only where that is set. */
static void put_log_store(struct page *p, struct api *a)
{
    if (!logs_store_on(a))
        return;
    gauge(p, "log_store_up", "1 when ClickHouse answered the last time.", api_bool(a->house, "there"));
    gauge(p, "log_store_events", "Events of this record that ClickHouse has.", api_int(a->house, "events", 0));
    gauge(p, "log_store_waiting_events", "Events in closed blocks that ClickHouse lacks.", api_int(a->house, "waiting", 0));
    gauge(p, "log_store_odd_blocks", "Blocks with a wrong number of rows there.", api_int(a->house, "odd", 0));
}

static void put_state(struct page *p, struct api *a)
{
    static const char *const states[] = { "ok", "look", "call", "unknown" };
    json_t *today = today_json(a, api_box_lang(a)), *rows, *row;
    const char *now = api_str(today, "state");
    size_t i;
    head(p, "state", "gauge", "What the first screen says: 1 for the state that holds.");
    for (i = 0; i < sizeof states / sizeof *states; i++)
        sample(p, "state", "state", states[i], NULL, NULL, !strcmp(now, states[i]));
    json_decref(today);
    int64_t look = 0, call = 0;
    rows = api_rows(a, STATE_alarms_open, STATE_NONE);
    json_array_foreach(rows, i, row) {
        look += !strcmp(api_str(row, "state"), "look");
        call += !strcmp(api_str(row, "state"), "call");
    }
    json_decref(rows);
    head(p, "alarms_open", "gauge", "Open alarms.");
    sample(p, "alarms_open", "state", "look", NULL, NULL, look);
    sample(p, "alarms_open", "state", "call", NULL, NULL, call);
    head(p, "runs", "gauge", "Runs on record, by how they stand.");
    rows = api_rows(a, STATE_runs_by_state, STATE_NONE);
    json_array_foreach(rows, i, row)
        sample(p, "runs", "state", api_str(row, "state"), NULL, NULL, api_int(row, "n", 0));
    json_decref(rows);
}

static void put_copies(struct page *p, struct api *a)
{
    static const struct { const char *name, *key, *help; } figures[] = {
        { "copy_covers_seconds", "covers_s", "Up to when a copy outside the box holds everything, Unix time; 0 = never filled." },
        { "copy_verified_seconds", "verified_s", "When all of a copy was last read back, Unix time; 0 = never." },
        { "copy_locked_until_seconds", "locked_until_s", "The earliest end of a lock in a bucket of what a copy needs, Unix time; 0 = no bucket." },
        { "copy_failures", "fails", "Runs of a copy that failed since the last good one." },
    };
    json_t *rows = api_rows(a, STATE_copies, STATE_NONE), *lamps = lamps_json(a, TEXT_EN), *row;
    size_t i;
    for (size_t k = 0; k < sizeof figures / sizeof *figures; k++) {
        head(p, figures[k].name, "gauge", figures[k].help);
        json_array_foreach(rows, i, row)
            sample(p, figures[k].name, "copy", api_str(row, "id"), "name", api_str(row, "name"),
                api_int(json_object_get(row, "state"), figures[k].key, 0));
    }
    head(p, "lamp", "gauge", "The five lamps of the rule 3-2-1-1-0: 1 = on.");
    json_array_foreach(lamps, i, row)
        sample(p, "lamp", "lamp", api_str(row, "id"), NULL, NULL, !strcmp(api_str(row, "state"), "on"));
    json_decref(rows);
    json_decref(lamps);
}

/* Copies of other boxes that are kept here. */
static void put_peers(struct page *p, struct api *a)
{
    static const struct { const char *name, *help, *key; } figures[] = {
        { "peer_used_bytes", "What a neighbour's copy kept here takes.", "used" },
        { "peer_head_seconds", "Of when the newest record of a neighbour's copy is (Unix time, 0 = none).", "head_s" },
        { "peer_generations", "Generations in a neighbour's copy.", "generations" },
    };
    json_t *rows = api_rows(a, STATE_peers, STATE_NONE), *row;
    size_t i;
    for (size_t k = 0; k < sizeof figures / sizeof *figures; k++) {
        head(p, figures[k].name, "gauge", figures[k].help);
        json_array_foreach(rows, i, row)
            sample(p, figures[k].name, "peer", api_str(row, "id"), "name", api_str(row, "name"),
                api_int(json_object_get(row, "state"), figures[k].key, 0));
    }
    head(p, "peer_quota_bytes", "gauge", "The most that is kept for a neighbour.");
    json_array_foreach(rows, i, row)
        sample(p, "peer_quota_bytes", "peer", api_str(row, "id"), "name", api_str(row, "name"), api_int(row, "quota", 0));
    head(p, "peer_damaged_files", "gauge", "Files of a neighbour's copy that the last reading found damaged.");
    json_array_foreach(rows, i, row)
        sample(p, "peer_damaged_files", "peer", api_str(row, "id"), "name", api_str(row, "name"),
            api_int(json_object_get(json_object_get(row, "state"), "checked"), "rotten", 0));
    json_decref(rows);
}

static void put_machines(struct page *p, struct api *a)
{
    json_t *rows = api_rows(a, STATE_devices_joined, STATE_NONE), *row;
    size_t i;
    head(p, "machine_answers", "gauge", "1 while the machine's agent reports.");
    json_array_foreach(rows, i, row)
        sample(p, "machine_answers", "machine", api_str(row, "id"), "name", api_str(row, "name"), device_there(row, api_now()));
    head(p, "machine_last_seen_seconds", "gauge", "When the machine's agent last reported (Unix time).");
    json_array_foreach(rows, i, row)
        sample(p, "machine_last_seen_seconds", "machine", api_str(row, "id"), "name", api_str(row, "name"),
            api_int(row, "last_seen_s", 0));
    head(p, "machine_certificate_ends_seconds", "gauge", "When the machine's certificate ends (Unix time).");
    json_array_foreach(rows, i, row)
        sample(p, "machine_certificate_ends_seconds", "machine", api_str(row, "id"), "name", api_str(row, "name"),
            api_int(row, "cert_until_s", 0));
    json_decref(rows);
}

static int64_t generation_s(const json_t *g)
{
    return g ? api_time_s(api_str(g, "at")) : 0;
}

static void put_sources(struct page *p, struct api *a)
{
    json_t *rows = api_rows(a, STATE_sources, STATE_NONE), *row;
    size_t i;
    head(p, "source_last_generation_seconds", "gauge", "When the source's last generation was made (Unix time, 0 = none).");
    json_array_foreach(rows, i, row)
        sample(p, "source_last_generation_seconds", "source", api_str(row, "id"), "name", api_str(row, "name"),
            api_int(row, "last_ok_s", 0));
    head(p, "source_last_clean_seconds", "gauge", "When the source's last clean generation was made (Unix time, 0 = none).");
    json_array_foreach(rows, i, row)
        sample(p, "source_last_clean_seconds", "source", api_str(row, "id"), "name", api_str(row, "name"),
            generation_s(json_object_get(row, "clean")));
    head(p, "source_failures", "gauge", "Failed runs since the last that worked.");
    json_array_foreach(rows, i, row)
        sample(p, "source_failures", "source", api_str(row, "id"), "name", api_str(row, "name"), api_int(row, "fails", 0));
    head(p, "source_next_run_seconds", "gauge", "When the source's next run is due (Unix time, 0 = none).");
    json_array_foreach(rows, i, row)
        sample(p, "source_next_run_seconds", "source", api_str(row, "id"), "name", api_str(row, "name"),
            api_bool(row, "enabled") ? api_int(row, "next_s", 0) : 0);
    json_decref(rows);
}

/* ---- logs, incidents, rules ---- */

static const char *const listeners[] = { "udp", "tcp", "tls", "agent" };
enum { LISTENERS = sizeof listeners / sizeof *listeners };

static void put_senders(struct page *p, const struct api *a)
{
    static const struct { const char *name, *key, *help; } figures[] = {
        { "logs_received_total", "received", "Records that came by syslog since the collector began, by the way they came." },
        { "logs_dropped_total", "dropped", "Records that could not be kept because too many came at once." },
        { "logs_cut_total", "cut", "Records that were too long and were cut." },
        { "logs_skipped_total", "skipped", "Bytes of records that were left out because they were too long." },
    };
    const json_t *of = json_object_get(a->log_senders, "of"), *v;
    const char *name;
    size_t i;
    for (size_t k = 0; k < sizeof figures / sizeof *figures; k++) {
        head(p, figures[k].name, "counter", figures[k].help);
        for (size_t l = 0; l < LISTENERS - 1; l++) {
            int64_t n = 0;
            json_object_foreach((json_t *)of, name, v)
                n += strcmp(api_str(v, "listener"), listeners[l]) ? 0 : api_int(v, figures[k].key, 0);
            sample(p, figures[k].name, "listener", listeners[l], NULL, NULL, n);
        }
    }
    head(p, "logs_lost_total", "counter", "Records that the kernel had no room for, before the box saw them.");
    json_array_foreach(json_object_get(a->log_senders, "listeners"), i, v)
        sample(p, "logs_lost_total", "listener", api_str(v, "listener"), NULL, NULL, api_int(v, "lost", 0));
}

static void put_kept(struct page *p, struct api *a)
{
    static const struct { const char *name, *key, *help; } figures[] = {
        { "logs_kept_total", "count", "Events that were kept, by the way they came." },
        { "logs_kept_bytes_total", "bytes", "Bytes of these as they came." },
        { "logs_unparsed_total", "unparsed", "Events among them whose form nothing could read." },
    };
    json_t *rows = api_rows(a, STATE_log_totals, STATE_NONE), *row;
    size_t i;
    for (size_t k = 0; k < sizeof figures / sizeof *figures; k++) {
        head(p, figures[k].name, "counter", figures[k].help);
        for (size_t l = 0; l < LISTENERS; l++) {
            int64_t n = 0;
            json_array_foreach(rows, i, row)
                n += strcmp(api_str(row, "listener"), listeners[l]) ? 0 : api_int(row, figures[k].key, 0);
            sample(p, figures[k].name, "listener", listeners[l], NULL, NULL, n);
        }
    }
    json_decref(rows);
}

static void put_incidents(struct page *p, struct api *a)
{
    static const char *const levels[] = { "informational", "low", "medium", "high", "critical" };
    json_t *rows = api_rows(a, STATE_signal_levels, STATE_NONE), *row;
    int64_t look = 0, call = 0;
    size_t i;
    head(p, "signals", "gauge", "What rules found, as far as it is on record (repeats counted), by level.");
    for (size_t l = 0; l < sizeof levels / sizeof *levels; l++) {
        int64_t n = 0;
        json_array_foreach(rows, i, row)
            n += strcmp(api_str(row, "level"), levels[l]) ? 0 : api_int(row, "n", 0);
        sample(p, "signals", "level", levels[l], NULL, NULL, n);
    }
    json_decref(rows);
    rows = api_rows(a, STATE_incident_severities, STATE_NONE);
    json_array_foreach(rows, i, row) {
        look += strcmp(api_str(row, "severity"), "look") ? 0 : api_int(row, "n", 0);
        call += strcmp(api_str(row, "severity"), "call") ? 0 : api_int(row, "n", 0);
    }
    json_decref(rows);
    head(p, "incidents_open", "gauge", "Open incidents, by how urgent they are.");
    sample(p, "incidents_open", "severity", "look", NULL, NULL, look);
    sample(p, "incidents_open", "severity", "call", NULL, NULL, call);
}

static void put_watch(struct page *p, const json_t *w /* NULL: it did not answer */)
{
    int64_t made = api_int(w, "bundle_made_s", 0), age = api_now() - made;
    gauge(p, "watch_answers", "1 when the process that reads logs answered this request.", w != NULL);
    if (!w)
        return;
    gauge(p, "logs_events", "Events in the record.", api_int(w, "events", 0));
    gauge(p, "logs_stored_bytes", "What the record takes on the disk.", api_int(w, "stored_bytes", 0));
    gauge(p, "logs_stopped", "1 while no logs are taken in, because the disk is full or fails.", api_bool(w, "stopped"));
    gauge(p, "logs_unsealed", "1 while closed blocks cannot be sealed.", api_bool(w, "unsealed"));
    gauge(p, "logs_last_block", "Number of the last closed block of the record, 0 = none.", api_int(w, "next_block", 1) - 1);
    gauge(p, "logs_sealed_block", "Number of the last sealed block of the record, 0 = none.", api_int(w, "sealed_block", 0));
    gauge(p, "rules_loaded", "Detection rules, filters and correlations that are loaded.", api_int(w, "rules", 0));
    gauge(p, "rules_refused", "Faults in rules, so that they could not be loaded.", api_int(w, "rules_refused", 0));
    gauge(p, "rule_bundle_serial", "Serial number of the bundle of rules in use, 0 = none.", api_int(w, "bundle_serial", 0));
    gauge(p, "rule_bundle_age_seconds", "How long ago the bundle in use was made, 0 = none.", made && age > 0 ? age : 0);
}

/* ---- all ---- */

static void watch_got(struct api_call *c, int err, struct sm_span body, const char *text)
{
    struct api *a = c->api;
    struct page p = { .b = SM_BUF_INIT(METRICS_MAX) };
    json_t *w = NULL;
    (void)text;
    if (err < 0 || sm_json_parse(body, API_ANSWER_MAX, &w, NULL) < 0)
        w = NULL;
    put_box(&p, a, api_bool(c->mem, "vault"));
    put_state(&p, a);
    put_log_store(&p, a);
    put_copies(&p, a);
    put_peers(&p, a);
    put_machines(&p, a);
    put_sources(&p, a);
    put_senders(&p, a);
    put_kept(&p, a);
    put_incidents(&p, a);
    put_watch(&p, w);
    json_decref(w);
    if (p.r < 0)
        api_fail_err(c, p.r, NULL);
    else
        api_reply_raw(c, 200, sm_buf_span(&p.b),
            json_pack("{s:s}", "Content-Type", "text/plain; version=0.0.4; charset=utf-8"), NULL);
    sm_buf_wipe(&p.b);
}

static void status_got(struct api_call *c, int err, struct sm_span body, const char *text)
{
    json_t *v = NULL;
    (void)text;
    if (err >= 0 && sm_json_parse(body, API_ANSWER_MAX, &v, NULL) == 0) {
        json_decref(c->api->vault);
        c->api->vault = v;
    }
    json_decref(c->mem);
    c->mem = json_pack("{s:b}", "vault", v != NULL);
    api_ask(c, "W_STATUS", json_object(), watch_got);
}

void h_metrics(struct api_call *c)
{
    api_ask(c, "V_STATUS", json_object(), status_got);
}

/* ---- who may read them without being a person ---- */

void h_monitor_post(struct api_call *c)
{
    struct sm_obj o = SM_OBJ(c->body);
    const char *name = sm_obj_str(&o, "name", 1, MONITOR_NAME_MAX);
    char token[72], csrf[72], id[API_ID_TEXT];
    if (api_refused(c, &o))
        return;
    struct api_caller_info me = c->who;
    api_audit_what(c, "%s", name);
    int r = session_make(c, "monitor", NULL, name, token, csrf);
    (void)snprintf(id, sizeof id, "%s", c->who.session); /* same size */
    c->who = me; /* the audit line names the person */
    if (r < 0)
        api_fail_err(c, r, NULL);
    else
        api_reply(c, 201, json_pack("{s:s,s:s,s:s}", "id", id, "name", name, "token", token));
    sm_zero(token, sizeof token);
}

void h_monitor_get(struct api_call *c)
{
    api_reply(c, 200, json_pack("{s:o,s:n}", "items", api_rows(c->api, STATE_monitors, STATE_NONE), "next"));
}

void h_monitor_delete(struct api_call *c)
{
    int r = state_do(c->api->state, STATE_monitor_end, STATE_ARGS(state_t(c->part[0])));
    api_audit_what(c, "%s", c->part[0]);
    if (r <= 0)
        api_fail_err(c, r < 0 ? r : -SM_ENOTFOUND, NULL);
    else
        api_reply(c, 200, json_pack("{s:b}", "ok", 1));
}
