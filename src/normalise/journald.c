/*
 * systemd's journal: its export format (blocks of NAME=value, or NAME, eight bytes of length and the bytes; an
 * empty line ends a
 * block) and its JSON.  The text is read as syslog's would be, by the program that wrote it.
 */
#include <errno.h>
#include "normalise/syslog.h"

enum { FIELD_NAME_MAX = 64 };

static const struct { const char *name; uint16_t field; } common[] = {
    { "_EXE", EVENT_F_exe }, { "_COMM", EVENT_F_comm }, { "_UID", EVENT_F_uid },
    { "SYSLOG_FACILITY", EVENT_F_facility },
};

void journal_field(struct format_ctx *c, struct sm_span name, struct sm_span value)
{
    struct scan s = scan_of(value);
    struct when w;

    if (span_is(name, "__REALTIME_TIMESTAMP") && !event_get(c->e, EVENT_F_UtcTime) && when_epoch(&s, &w))
        when_set(c, &w);
    if (span_is(name, "_SOURCE_REALTIME_TIMESTAMP") && when_epoch(&s, &w))
        when_set(c, &w);
    if (span_starts(name, "__") || span_is(name, "MESSAGE"))
        return;
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        if (span_is(name, common[i].name))
            put_number(c, common[i].field, value);
    put_named(c, name, EVENT_TEXT, value);
}

int journal_done(struct format_ctx *c, struct sm_span message, struct sm_span program, struct sm_span pid,
    struct sm_span priority,
    struct sm_span host)
{
    static const char *const digits[] = { "0", "1", "2", "3", "4", "5", "6", "7" };

    if (priority.n == 1 && *priority.p >= '0' && *priority.p <= '7') {
        c->e->severity = (uint8_t)(*priority.p - '0');
        put_any(c, EVENT_F_severity, EVENT_NUMBER, SM_SPAN_STR(digits[c->e->severity]));
    }
    if (host.n)
        c->e->host = host;
    put(c, EVENT_F_hostname, host);
    put(c, EVENT_F_program, program);
    put_number(c, EVENT_F_pid, pid);
    source_words(c, EVENT_W_linux, 0, 0);
    c->program = program;
    return syslog_body(c, message);
}

/* One field of a block; false at its end or when it breaks off. */
static bool field(struct scan *s, struct sm_span *ret_name, struct sm_span *ret_value)
{
    const uint8_t *from = s->p;

    while (s->p < s->end && *s->p != '=' && *s->p != '\n' && s->p - from < FIELD_NAME_MAX)
        s->p++;
    *ret_name = SM_SPAN(from, (size_t)(s->p - from));
    if (!ret_name->n)
        return false;
    if (scan_c(s, '=')) {
        *ret_value = scan_past(s, '\n');
        return true;
    }
    uint64_t n = 0;
    if (!scan_c(s, '\n') || scan_left(s) < 8)
        return false;
    for (int i = 7; i >= 0; i--)
        n = n << 8 | s->p[i];
    s->p += 8;
    if (n > scan_left(s))
        return false;
    *ret_value = SM_SPAN(s->p, (size_t)n);
    s->p += n;
    (void)scan_c(s, '\n');
    return true;
}

size_t journal_frame(struct sm_span bytes)
{
    struct scan s = scan_of(bytes);
    struct sm_span name, value;

    while (scan_c(&s, '\n'))
        ;
    while (s.p < s.end) {
        if (scan_c(&s, '\n'))
            return (size_t)(s.p - bytes.p);
        if (!field(&s, &name, &value))
            return 0;
    }
    return 0;
}

static bool decoded(struct format_ctx *c, struct sm_span raw, struct sm_span *ret)
{
    if (sm_utf8_valid(raw)) {
        *ret = raw;
        return true;
    }
    return normalise_decode(c->n, NULL, raw, c->e, ret) == 0;
}

static int read(struct format_ctx *c, struct sm_span text)
{
    /* Lengths count bytes as they came. */
    struct scan s = scan_of(c->depth ? text : c->e->raw);
    struct sm_span name, raw, value, message = { 0 }, program = { 0 }, pid = { 0 }, priority = { 0 }, host = { 0 };
    size_t fields = 0;

    if (text.n && text.p[0] == '{')
        return journal_json(c, text);
    if (!c->depth) /* the lengths are no text: nothing was replaced by that */
        c->e->notes &= ~(uint32_t)(EVENT_DECODED | EVENT_REPLACED);
    while (scan_c(&s, '\n'))
        ;
    while (fields < EVENT_FIELDS_MAX && field(&s, &name, &raw)) {
        if (!sm_utf8_valid(name) || !decoded(c, raw, &value))
            continue;
        fields++;
        journal_field(c, name, value);
        const struct { const char *name; struct sm_span *to; } all[] = {
            { "MESSAGE", &message }, { "SYSLOG_IDENTIFIER", &program }, { "_PID", &pid }, { "_HOSTNAME", &host },
            { "PRIORITY", &priority },
        };
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            if (span_is(name, all[i].name))
                *all[i].to = value;
    }
    if (!fields)
        return -SM_EFORMAT;
    return journal_done(c, message, program, pid, priority, host);
}

static int detect(struct sm_span t)
{
    if (t.n < 20)
        return 0;
    if (t.p[0] == '{')
        return span_has(SM_SPAN(t.p, t.n < 2048 ? t.n : 2048), "\"__REALTIME_TIMESTAMP\"") ? 90 : 0;
    return span_starts(t, "__CURSOR=") || span_starts(t, "__REALTIME_TIMESTAMP=") ? 95 : 0;
}

const struct format format_journald = {
    .row = { "journald", "systemd の記録（export、JSON）", "systemd journal, export and JSON" },
    .frame = FRAME_BLOCK, .detect = detect, .read = read,
};
