/*
 * JSON, one object a record, of whoever writes it: flattened to a.b.c, with the time, the host and the text found
 * under their
 * usual names, those of the Elastic Common Schema given their common names as well, and Docker's text read once more.
 */
#include <errno.h>
#include "normalise/flow.h"
#include "normalise/json.h"
#include "normalise/syslog.h"
#include "normalise/web.h"

static const struct { const char *path; uint16_t name; } common[] = {
    { "source.ip", EVENT_F_src_ip }, { "source.port", EVENT_F_src_port }, { "destination.ip", EVENT_F_dst_ip },
    { "destination.port", EVENT_F_dst_port }, { "client.ip", EVENT_F_src_ip }, { "user.name", EVENT_F_username },
    { "event.action", EVENT_F_action }, { "event.outcome", EVENT_F_outcome },
    { "http.request.method", EVENT_F_cs_method },
    { "http.response.status_code", EVENT_F_sc_status }, { "url.path", EVENT_F_cs_uri_stem },
    { "url.query", EVENT_F_cs_uri_query },
    { "user_agent.original", EVENT_F_c_useragent }, { "dns.question.name", EVENT_F_query },
    { "dns.question.type", EVENT_F_record_type },
    { "process.executable", EVENT_F_Image }, { "process.command_line", EVENT_F_CommandLine },
    { "process.pid", EVENT_F_ProcessId },
    { "process.parent.executable", EVENT_F_ParentImage }, { "process.working_directory", EVENT_F_CurrentDirectory },
    { "file.path", EVENT_F_TargetFilename }, { "network.transport", EVENT_F_protocol },
    { "source.bytes", EVENT_F_bytes_out },
    { "destination.bytes", EVENT_F_bytes_in }, { "source.geo.country_iso_code", EVENT_F_src_country },
    { "id.orig_h", EVENT_F_src_ip }, { "id.orig_p", EVENT_F_src_port }, { "id.resp_h", EVENT_F_dst_ip },
    { "id.resp_p", EVENT_F_dst_port },
    { "src_host", EVENT_F_src_ip }, { "dst_host", EVENT_F_dst_ip }, { "remote_addr", EVENT_F_src_ip },
};

/* The earlier in the list, the better. */
static const char *const times[] = {
    "@timestamp", "timestamp", "time", "ts", "eventTime", "datetime", "date", "_time", "utc_time", "local_time",
        "TimeCreated", "created_at",
    "requestReceivedTimestamp", "event.created", "start_time",
};
static const char *const hosts[] = { "host.name", "host.hostname", "hostname", "Hostname", "host", "Computer",
    "agent.hostname", "node_id", "_HOSTNAME" };
static const char *const texts[] = { "message", "msg", "log", "MESSAGE", "Message", "event.original" };

struct seen { struct format_ctx *c; size_t time, host, text; struct sm_span host_is, text_is, path, log; bool zeek_id,
    canary, k8s, aws, stream; };

static size_t place(const char *const *list, size_t n, struct sm_span path)
{
    for (size_t i = 0; i < n; i++)
        if (path.p[0] == (uint8_t)list[i][0] && span_is(path, list[i]))
            return i + 1;
    return 0;
}
#define PLACE(list, path) place(list, sizeof list / sizeof *list, path)

static void time_of(struct seen *seen, const struct json_value *v)
{
    size_t at = PLACE(times, v->path);
    struct when w;
    struct scan s = scan_of(v->text);

    if (!at || (seen->time && at >= seen->time) || !when_any(&s, &w))
        return;
    seen->time = at;
    when_set(seen->c, &w);
}

static void what_is_it(struct seen *seen, const struct json_value *v)
{
    if (span_is(v->path, "_path"))
        seen->path = v->text;
    seen->zeek_id |= span_is(v->path, "id.orig_h");
    seen->canary |= span_is(v->path, "logtype");
    seen->stream |= span_is(v->path, "stream");
    seen->k8s |= span_is(v->path, "apiVersion") && span_starts(v->text, "audit.k8s.io");
    seen->aws |= span_is(v->path, "eventSource") && span_ends(v->text, ".amazonaws.com");
}

static int each(void *ctx, const struct json_value *v)
{
    struct seen *seen = ctx;
    struct format_ctx *c = seen->c;

    time_of(seen, v);
    what_is_it(seen, v);
    size_t at = PLACE(hosts, v->path);
    if (at && (!seen->host || at < seen->host) && v->type == EVENT_TEXT && v->text.n) {
        seen->host = at;
        seen->host_is = v->text;
    }
    at = PLACE(texts, v->path);
    if (at && v->type == EVENT_TEXT && !v->in_array && (!seen->text || at < seen->text)) {
        seen->text = at;
        seen->text_is = v->text;
    }
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        if (v->path.p[0] == (uint8_t)common[i].path[0] && span_is(v->path, common[i].path))
            put_any(c, common[i].name, v->type, v->text);
    put_named(c, v->path, v->type, v->text);
    return c->err;
}

static void sources(struct seen *seen)
{
    struct format_ctx *c = seen->c;

    if (seen->path.n && (seen->zeek_id || seen->time))
        source_words(c, event_names_add(c->names, SM_SPAN_STR("zeek")), 0, event_names_add(c->names, seen->path));
    else if (seen->k8s)
        source_words(c, event_names_add(c->names, SM_SPAN_STR("kubernetes")), 0, event_names_add(c->names,
            SM_SPAN_STR("audit")));
    else if (seen->aws)
        source_words(c, event_names_add(c->names, SM_SPAN_STR("aws")), 0, event_names_add(c->names,
            SM_SPAN_STR("cloudtrail")));
    else if (seen->canary && seen->host && event_names_find(c->names, SM_SPAN_STR("node_id")) &&
        event_get(c->e, event_names_find(c->names, SM_SPAN_STR("node_id"))))
        source_words(c, event_names_add(c->names, SM_SPAN_STR("opencanary")), EVENT_W_application, 0);
}

static int read(struct format_ctx *c, struct sm_span text)
{
    struct seen seen = { .c = c };

    int r = json_flat(text, c->e, each, &seen);
    if (r == -ENOMEM || c->err < 0)
        return -ENOMEM;
    if (r < 0)
        return -SM_EFORMAT;
    sources(&seen);
    if (seen.host_is.n)
        c->e->host = seen.host_is;
    while (seen.text_is.n && (seen.text_is.p[seen.text_is.n - 1] == '\n' || seen.text_is.p[seen.text_is.n - 1] == '\r'))
        seen.text_is.n--;
    if (!event_get(c->e, EVENT_F_Message))
        put(c, EVENT_F_Message, seen.text_is);
    /* What a container wrote is a log line of its own. */
    if (seen.stream && seen.text_is.n) {
        uint16_t own = c->e->format;
        r = format_inside(c, seen.text_is);
        c->e->format = own;
        if (r < 0 && r != -SM_EFORMAT)
            return r;
    }
    return 0;
}

static int detect(struct sm_span t)
{
    struct scan s = scan_of(t);

    scan_blank(&s);
    return scan_left(&s) >= 2 && *s.p == '{' && (t.p[t.n - 1] == '}' || t.n > 4096) ? 60 : 0;
}

const struct format format_json = {
    .row = { "json", "JSON（一行に一件）", "JSON lines" }, .frame = FRAME_JSON, .detect = detect, .read = read,
};

/* ---- journald as JSON ---- */

struct journal { struct format_ctx *c; struct sm_span message, program, pid, priority, host; };

static int each_journal(void *ctx, const struct json_value *v)
{
    struct journal *j = ctx;

    if (v->in_array)
        return 0;
    journal_field(j->c, v->path, v->text);
    const struct { const char *name; struct sm_span *to; } all[] = {
        { "MESSAGE", &j->message }, { "SYSLOG_IDENTIFIER", &j->program }, { "_PID", &j->pid },
        { "_HOSTNAME", &j->host },
        { "PRIORITY", &j->priority },
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (span_is(v->path, all[i].name))
            *all[i].to = v->text;
    return j->c->err;
}

int journal_json(struct format_ctx *c, struct sm_span text)
{
    struct journal j = { .c = c };

    int r = json_flat(text, c->e, each_journal, &j);
    if (r < 0)
        return r == -ENOMEM ? r : -SM_EFORMAT;
    return journal_done(c, j.message, j.program, j.pid, j.priority, j.host);
}
