#include "sensor/event.h"

#include <errno.h>
#include <string.h>

/* How many bytes at p (n > 0 there are) make one character of UTF-8, as RFC 3629 has it; 0: none. */
static size_t utf8_at(const uint8_t *p, size_t n)
{
    size_t k = p[0] < 0x80                   ? 1
               : p[0] >= 0xC2 && p[0] < 0xE0 ? 2
               : p[0] >= 0xE0 && p[0] < 0xF0 ? 3
               : p[0] >= 0xF0 && p[0] < 0xF5 ? 4
                                             : 0;
    if (!k || k > n)
        return 0;
    for (size_t i = 1; i < k; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    bool odd = (p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF0 && p[1] < 0x90) ||
        (p[0] == 0xF4 && p[1] > 0x8F);
    return odd ? 0 : k;
}

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

static int put_one(struct sm_buf *b, uint8_t c)
{
    if (c == '"' || c == '\\')
        return sm_buf_printf(b, "\\%c", c);
    if (c == '\n')
        return sm_buf_put(b, "\\n", 2);
    if (c < 0x20 || c == 0x7F)
        return sm_buf_printf(b, "\\u%04x", c);
    return sm_buf_printf(b, "\\\\x%02X", c); /* not text */
}

static int put_text(struct sm_buf *b, struct sm_span s)
{
    int r = sm_buf_put_u8(b, '"');
    for (size_t i = 0; i < s.n && !r;) {
        size_t k = i;
        while (k < s.n && is_plain(s.p[k]))
            k++;
        if (k == i && s.p[i] >= 0x80)
            k += utf8_at(s.p + i, s.n - i);
        if (k > i)
            r = sm_buf_put(b, s.p + i, k - i);
        else
            r = put_one(b, s.p[k++]);
        i = k;
    }
    return r ? r : sm_buf_put_u8(b, '"');
}

static int put_key(struct sensor_event *e, const char *key)
{
    return e->err ? e->err : sm_buf_printf(e->to, ",\"%s\":", key);
}

struct sensor_event sensor_event_begin(struct sm_buf *to, struct sm_time at, const char *key, const char *value)
{
    struct sensor_event e = {.to = to, .from = to->n};
    char text[SM_TIME_TEXT];
    at.ns = at.ns / 1000000 * 1000000; /* milliseconds */
    sm_time_rfc3339(at, text);
    e.err = sm_buf_printf(to, "{\"v\":1,\"at\":\"%s\"", text);
    sensor_event_text(&e, key, value);
    return e;
}

void sensor_event_bytes(struct sensor_event *e, const char *key, struct sm_span value)
{
    if (!value.n)
        return;
    e->err = put_key(e, key);
    if (!e->err)
        e->err = put_text(e->to, value);
}

void sensor_event_text(struct sensor_event *e, const char *key, const char *value)
{
    sensor_event_bytes(e, key, SM_SPAN_STR(value));
}

void sensor_event_number(struct sensor_event *e, const char *key, int64_t value)
{
    e->err = put_key(e, key);
    if (!e->err)
        e->err = sm_buf_printf(e->to, "%lld", (long long)value);
}

void sensor_event_true(struct sensor_event *e, const char *key, bool value)
{
    e->err = put_key(e, key);
    if (!e->err)
        e->err = sm_buf_printf(e->to, value ? "true" : "false");
}

int sensor_event_end(struct sensor_event *e)
{
    if (!e->err)
        e->err = sm_buf_put_u8(e->to, '}');
    if (!e->err && e->to->n - e->from > EVENT_MAX)
        e->err = -SM_ELIMIT;
    if (e->err)
        e->to->n = e->from;
    return e->err;
}

static void put_process(struct sensor_event *e, const struct proctree_row *row, const char *user)
{
    sensor_event_text(e, "Image", row->exe);
    sensor_event_text(e, "CommandLine", row->line);
    sensor_event_number(e, "ProcessId", row->pid);
    sensor_event_number(e, "ParentProcessId", row->parent);
    sensor_event_text(e, "User", user);
    sensor_event_number(e, "LogonId", (int64_t)row->group);
    sensor_event_number(e, "Tree", (int64_t)row->tree);
}

int sensor_event_process(struct sm_buf *ret, struct sm_time at, const struct proctree_row *row,
    const struct proctree_row *parent, const char *user, const char *folder)
{
    struct sensor_event e = sensor_event_begin(ret, at, "category", "process_creation");
    put_process(&e, row, user);
    sensor_event_text(&e, "ParentImage", parent ? parent->exe : "");
    sensor_event_text(&e, "ParentCommandLine", parent ? parent->line : "");
    sensor_event_text(&e, "CurrentDirectory", folder);
    return sensor_event_end(&e);
}

int sensor_event_connection(struct sm_buf *ret, struct sm_time at, const struct proctree_row *row, const char *user,
    const struct sensor_connection *c)
{
    struct sensor_event e = sensor_event_begin(ret, at, "category", "network_connection");
    if (row)
        put_process(&e, row, user);
    sensor_event_true(&e, "Initiated", c->initiated);
    sensor_event_text(&e, "Protocol", "tcp");
    sensor_event_text(&e, "SourceIp", c->initiated ? c->ours : c->other);
    sensor_event_text(&e, "DestinationIp", c->initiated ? c->other : c->ours);
    uint16_t from = c->initiated ? c->our_port : c->other_port, to = c->initiated ? c->other_port : c->our_port;
    if (from)
        sensor_event_number(&e, "SourcePort", from);
    if (to)
        sensor_event_number(&e, "DestinationPort", to);
    return sensor_event_end(&e);
}
