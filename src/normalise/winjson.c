/* Windows events as JSON: Winlogbeat, NXLog, {"Event": {"System": …}}. */
#include "normalise/json.h"
#include "core/find.h"
#include "normalise/windows_int.h"

#include <errno.h>

/* Flat names that mean a field of System.  Both NXLog's and those of Winlogbeat up to 6. */
static const struct { const char *from, *to; } flat_names[] = {
    { "Hostname", "Computer" }, { "SourceName", "Provider_Name" }, { "ProviderGuid", "Provider_Guid" },
    { "ExecutionProcessID", "Execution_ProcessID" }, { "ProcessID", "Execution_ProcessID" }, { "ThreadID",
    "Execution_ThreadID" },
    { "ExecutionThreadID", "Execution_ThreadID" }, { "RecordNumber", "EventRecordID" }, { "OpcodeValue", "Opcode" },
    { "TaskValue", "Task" }, { "UserID", "Security_UserID" }, { "ActivityID", "Correlation_ActivityID" },
    { "RelatedActivityID", "Correlation_RelatedActivityID" }, { "TimeCreated", "TimeCreated_SystemTime" },
    { "message", "Message" },
    { "computer_name", "Computer" }, { "log_name", "Channel" }, { "source_name", "Provider_Name" }, { "event_id",
    "EventID" },
    { "record_number", "EventRecordID" }, { "provider_guid", "Provider_Guid" },
};

/* Winlogbeat from 7 on, behind "winlog.". */
static const struct { const char *from, *to; } winlog_names[] = {
    { "channel", "Channel" }, { "event_id", "EventID" }, { "provider_name", "Provider_Name" }, { "provider_guid",
        "Provider_Guid" },
    { "computer_name", "Computer" }, { "record_id", "EventRecordID" }, { "process.pid", "Execution_ProcessID" },
    { "process.thread.id", "Execution_ThreadID" }, { "user.identifier", "Security_UserID" }, { "version", "Version" },
    { "activity_id", "Correlation_ActivityID" }, { "related_activity_id", "Correlation_RelatedActivityID" },
    { "opcode", "Opcode" },
    { "task", "Task" }, { "keywords", "Keywords" }, { "level", "Level" }, { "time_created", "TimeCreated_SystemTime" },
};

/* How a member of the text itself is taken. */
enum flat_kind { FLAT_UNSEEN, FLAT_PLAIN, FLAT_SYSTEM, FLAT_DATA, FLAT_TIME, FLAT_EVENT_TYPE };

void winjson_names(struct windows *w)
{
    for (size_t i = 0; i < sizeof flat_names / sizeof *flat_names; i++)
        w->flat[event_names_add(w->names, SM_SPAN_STR(flat_names[i].from))].to =
            event_names_add(w->names, SM_SPAN_STR(flat_names[i].to));
    w->time = event_names_add(w->names, SM_SPAN_STR("TimeCreated_SystemTime"));
}

static bool starts(struct sm_span s, const char *word, struct sm_span *ret_rest)
{
    size_t n = strlen(word);

    if (s.n < n || memcmp(s.p, word, n))
        return false;
    *ret_rest = SM_SPAN(s.p + n, s.n - n);
    return true;
}

static struct sm_span named(struct windows *w, const char *name)
{
    uint16_t n = event_names_add(w->names, SM_SPAN_STR(name));

    return event_names_text(w->names, n);
}

/* Up to the first dot; *ret_rest is behind it. */
static struct sm_span first_part(struct sm_span path, struct sm_span *ret_rest)
{
    const uint8_t *dot = memchr(path.p, '.', path.n);
    size_t n = dot ? (size_t)(dot - path.p) : path.n;

    *ret_rest = dot ? SM_SPAN(dot + 1, path.n - n - 1) : SM_SPAN(path.p + n, 0);
    return SM_SPAN(path.p, n);
}

static bool whole_number(struct sm_span s)
{
    size_t i = s.n && s.p[0] == '-';

    if (i == s.n || s.n > 20)
        return false;
    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
        i++;
    return i == s.n;
}

/* Keywords in decimal, as EVTX writes them. */
static struct sm_span keywords(struct windows *w, struct sm_span v)
{
    uint8_t *p = event_room(w->e, 18);
    bool minus = v.p[0] == '-';
    uint64_t n = 0;
    size_t k = 2;

    if (!p) {
        w->err = -ENOMEM;
        return v;
    }
    for (size_t i = minus; i < v.n; i++)
        n = n * 10 + (uint64_t)(v.p[i] - '0');
    n = minus ? 0 - n : n;
    p[0] = '0';
    p[1] = 'x';
    for (int shift = 60; shift >= 0; shift -= 4)
        if (n >> shift || !shift)
            p[k++] = (uint8_t)"0123456789abcdef"[n >> shift & 15];
    return SM_SPAN(p, k);
}

/* A field of System.  Words in place of numbers are what Windows renders of them. */
static void of_system(struct windows *w, uint16_t name, const struct json_value *v)
{
    struct sm_span text = v->text;
    enum event_type type = v->type;
    bool number = whole_number(text);

    if (type == EVENT_NULL)
        return;
    if (name == EVENT_F_Keywords && number) {
        text = keywords(w, text);
        type = EVENT_TEXT;
    } else if ((name == EVENT_F_Level || name == EVENT_F_Task || name == EVENT_F_Opcode) ? !number :
               name == EVENT_F_Keywords && !(text.n > 2 && text.p[0] == '0' && text.p[1] == 'x')) {
        windows_value(w, windows_name(w, SM_SPAN("RenderingInfo", 13), event_names_text(w->names, name)), type, text,
            false);
        return;
    }
    windows_system(w, name, type, text);
}

static bool is_level_word(struct sm_span s)
{
    static const char *const words[] = { "INFO", "WARNING", "ERROR", "VERBOSE", "CRITICAL", "DEBUG", "AUDIT_SUCCESS",
        "AUDIT_FAILURE" };

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (windows_is(s, words[i]))
            return true;
    return false;
}

static enum flat_kind kind_of(struct windows *w, uint16_t from, uint16_t to)
{
    const struct event_field_doc *doc = event_field_doc(to);
    struct sm_span name = event_names_text(w->names, from);

    if (to == EVENT_F_Data)
        return FLAT_DATA;
    if (to == w->time || (doc && !strcmp(doc->group, "windows")))
        return FLAT_SYSTEM;
    if (windows_is(name, "EventType"))
        return FLAT_EVENT_TYPE;
    return windows_is(name, "EventTime") || windows_is(name, "@timestamp") ? FLAT_TIME : FLAT_PLAIN;
}

/* A member of the text itself: NXLog, and what others put there. */
static void flat(struct windows *w, const struct json_value *v)
{
    uint16_t name = event_names_add(w->names, v->path);
    struct windows_flat *f = &w->flat[name];

    if (name == EVENT_F_other) {
        w->err = json_put(w->e, w->names, v->path, v->type, v->text);
        return;
    }
    if (!f->to)
        f->to = name;
    if (!f->kind)
        f->kind = (uint16_t)kind_of(w, name, f->to);
    name = f->to;
    if (f->kind == FLAT_SYSTEM) {
        of_system(w, name, v);
        return;
    }
    if (f->kind == FLAT_DATA) {
        windows_unnamed(w, v->text);
        return;
    }
    /* NXLog's own EventType is a level; Sysmon has another of that name. */
    if (f->kind == FLAT_EVENT_TYPE && is_level_word(v->text))
        name = windows_name(w, SM_SPAN("RenderingInfo", 13), SM_SPAN("Level", 5));
    else if (f->kind == FLAT_TIME && windows_time(w, v->text) && v->path.p[0] == '@') {
        w->stamp = v->text; /* "@timestamp" is the event's own name for its time */
        return;
    }
    windows_value(w, name, v->type, v->text, false);
}

/* "Provider.#attributes.Name", "Provider_attributes.Name", "Provider.@Name", "Provider.Name", "EventID.#text",
 * "EventID". */
static void system_member(struct windows *w, struct sm_span path, const struct json_value *v)
{
    struct sm_span rest, tag = first_part(path, &rest);

    if (tag.n > 11 && !memcmp(tag.p + tag.n - 11, "_attributes", 11))
        tag.n -= 11;
    (void)starts(rest, "#attributes.", &rest);
    if (rest.n && (*rest.p == '@' || *rest.p == '_'))
        rest = SM_SPAN(rest.p + 1, rest.n - 1);
    if (windows_is(rest, "#text") || windows_is(rest, "_text"))
        rest.n = 0;
    if (rest.n >= 5 && !memcmp(rest.p, "xmlns", 5))
        return;
    if (!rest.n && windows_is(tag, "TimeCreated"))
        rest = SM_SPAN("SystemTime", 10);
    if (rest.n || v->type != EVENT_NULL)
        of_system(w, windows_name(w, tag, rest), v);
}

static void data_text(struct windows *w, const struct json_value *v)
{
    if (w->pending)
        windows_value(w, w->pending, v->type, v->text, true);
    else if (v->type != EVENT_NULL)
        windows_unnamed(w, v->text);
    w->pending = 0;
}

static void data_member(struct windows *w, struct sm_span path, const struct json_value *v)
{
    struct sm_span rest, tag = first_part(path, &rest);
    struct sm_span last = v->name;

    if (windows_is(tag, "#attributes") || windows_is(tag, "@Name")) {
        windows_value(w, windows_name(w, SM_SPAN("EventData", 9), SM_SPAN("Name", 4)), v->type, v->text, false);
    } else if (windows_is(tag, "Data")) {
        if (windows_is(last, "@Name") || windows_is(last, "Name") || windows_is(last, "_Name"))
            w->pending = windows_data_name(w, v->text);
        else
            data_text(w, v);
    } else if (!rest.n || windows_is(last, "#text")) {
        windows_value(w, windows_data_name(w, tag), v->type, v->text, true);
    } else {
        windows_value(w, windows_data_name(w, last), v->type, v->text, true);
    }
}

/* Leaves by their tag, attributes as Tag_Attr. */
static void other_member(struct windows *w, struct sm_span path, const struct json_value *v)
{
    struct sm_span name = v->name, before = { path.p, path.n > name.n ? path.n - name.n - 1 : 0 }, tag = before;
    static const char sign[] = "#attributes";
    size_t n = sizeof sign - 1;

    if ((name.n >= 5 && !memcmp(name.p, "xmlns", 5)) || windows_is(name, "xml_name"))
        return;
    bool attribute = before.n > n && !memcmp(before.p + before.n - n, sign, n);
    if (attribute)
        tag.n = before.n - n - 1;
    else if (before.n > 11 && !memcmp(before.p + before.n - 11, "_attributes", 11)) {
        attribute = true;
        tag.n = before.n - 11;
    }
    const uint8_t *dot = tag.n ? memrchr(tag.p, '.', tag.n) : NULL;
    if (dot)
        tag = SM_SPAN(dot + 1, (size_t)(tag.p + tag.n - dot - 1));
    if (windows_is(name, "#text"))
        name = tag;
    windows_value(w, attribute ? windows_name(w, tag, name) : windows_data_name(w, name), v->type, v->text, true);
}

static void rendering_member(struct windows *w, struct sm_span path, const struct json_value *v)
{
    if (windows_is(path, "Message"))
        windows_value(w, EVENT_F_Message, v->type, v->text, false);
    else if (v->type != EVENT_NULL && (path.n < 11 || memcmp(path.p, "#attributes", 11)))
        windows_value(w, windows_name(w, SM_SPAN("RenderingInfo", 13), v->name), v->type, v->text, false);
}

/* Behind "winlog.". */
static bool winlog_member(struct windows *w, struct sm_span path, const struct json_value *v)
{
    struct sm_span rest;

    w->winlog = true;
    if (starts(path, "event_data.", &rest)) {
        data_member(w, rest, v);
        return true;
    }
    if (starts(path, "user_data.", &rest)) {
        other_member(w, rest, v);
        return true;
    }
    for (size_t i = 0; i < sizeof winlog_names / sizeof *winlog_names; i++)
        if (windows_is(path, winlog_names[i].from)) {
            struct sm_span to = named(w, winlog_names[i].to);
            of_system(w, event_names_find(w->names, to), v);
            return true;
        }
    return false;
}

static bool nested(struct windows *w, struct sm_span path, const struct json_value *v)
{
    struct sm_span rest;

    if (starts(path, "System.", &rest))
        system_member(w, rest, v);
    else if (starts(path, "EventData.", &rest) || starts(path, "event_data.", &rest))
        data_member(w, rest, v);
    else if (starts(path, "UserData.", &rest) || starts(path, "user_data.", &rest) || starts(path,
        "ProcessingErrorData.", &rest))
        other_member(w, rest, v);
    else if (starts(path, "RenderingInfo.", &rest))
        rendering_member(w, rest, v);
    else if (starts(path, "winlog.", &rest))
        return winlog_member(w, rest, v);
    else
        return windows_is(path, "EventData") || windows_is(path, "UserData") || starts(path, "#attributes.", &rest) ||
            starts(path, "@xmlns", &rest);
    return true;
}

static int each(void *ctx, const struct json_value *v)
{
    struct windows *w = ctx;
    struct sm_span rest = v->path;

    bool inside = starts(v->path, "Event.", &rest);
    if (nested(w, inside || v->depth > 1 ? rest : SM_SPAN("", 0), v))
        return w->err;
    if (v->depth == 1)
        flat(w, v);
    else
        w->err = json_put(w->e, w->names, v->path, v->type, v->text);
    return w->err;
}

int windows_json(struct windows *w, struct sm_span text, int zone_s, struct event *e)
{
    windows_begin(w, e, zone_s);
    int r = json_flat(text, e, each, w);
    if (r < 0) {
        e->n = w->before;
        return w->err == -ENOMEM || r == -ENOMEM ? -ENOMEM : -SM_EFORMAT;
    }
    if (w->winlog && w->stamp.n && !event_get(e, w->time))
        windows_system(w, w->time, EVENT_TEXT, w->stamp);
    return windows_finish(w, EVENT_W_windows_json);
}

static bool has(struct sm_span s, const char *word)
{
    return sm_find(s, word, strlen(word)) != NULL;
}

int windows_json_detect(struct sm_span text)
{
    size_t i = 0;

    while (i < text.n && (text.p[i] == ' ' || text.p[i] == '\t' || text.p[i] == '\r' || text.p[i] == '\n'))
        i++;
    if (!text.p || i == text.n || text.p[i] != '{')
        return 0;
    text.n = text.n < (64 << 10) ? text.n : 64 << 10;
    if (has(text, "\"winlog\"") || has(text, "\"winlog."))
        return 96;
    if (has(text, "\"EventID\""))
        return has(text, "\"System\"") ? 96 : has(text, "\"Channel\"") || has(text, "\"SourceName\"") || has(text,
        "\"Provider_Name\"") ? 94 : 0;
    return has(text, "\"log_name\"") && has(text, "\"event_id\"") ? 92 : 0;
}
