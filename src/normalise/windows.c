#include "normalise/windows_int.h"

#include <errno.h>
#include <stdlib.h>

int windows_new(struct event_names *names, struct windows **ret)
{
    struct windows *w = calloc(1, sizeof *w);

    if (!w)
        return -ENOMEM;
    w->names = names;
    winjson_names(w);
    int r = winxml_new(w, &w->xml);
    if (r < 0) {
        windows_free(w);
        return r;
    }
    *ret = w;
    return 0;
}

void windows_free(struct windows *w)
{
    if (!w)
        return;
    winxml_free(w->xml);
    free(w);
}

void windows_begin(struct windows *w, struct event *e, int zone_s)
{
    w->e = e;
    w->before = e->n;
    w->err = 0;
    w->zone_s = zone_s;
    w->has_time = w->zoned = w->known = false;
    w->unnamed_n = 0;
    w->pending = 0;
    w->winlog = false;
    w->stamp.n = 0;
}

/* ---- times: 2019-03-02T08:51:00.0085670Z, also with ' ', an offset, or nothing ---- */

struct moment { int64_t s; uint32_t ns; bool zoned; };

static bool digits(const uint8_t *p, int n, int *ret)
{
    *ret = 0;
    for (int i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9')
            return false;
        *ret = *ret * 10 + (p[i] - '0');
    }
    return true;
}

/* Days since 1970-01-01; years are taken to begin in March. */
static int64_t days(int y, int m, int d)
{
    y -= m <= 2;
    int64_t era = y / 400, yoe = y % 400, doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static bool offset(const uint8_t *p, size_t n, struct moment *ret)
{
    int h, m;

    ret->zoned = n > 0;
    if (!n || (n == 1 && (*p == 'Z' || *p == 'z')))
        return true;
    size_t colon = n == 6 && p[3] == ':';
    if (n != 5 + colon || (*p != '+' && *p != '-') || !digits(p + 1, 2, &h) || !digits(p + 3 + colon, 2, &m) ||
        h > 23 || m > 59)
        return false;
    ret->s -= (*p == '-' ? -1 : 1) * (h * 3600 + m * 60);
    return true;
}

static bool parse(struct sm_span t, struct moment *ret)
{
    int y, mo, d, h, mi, s;
    size_t i = 19;

    if (t.n < 19 || t.n > 40 || t.p[4] != '-' || t.p[7] != '-' || (t.p[10] != 'T' && t.p[10] != ' ') ||
        t.p[13] != ':' || t.p[16] != ':')
        return false;
    if (!digits(t.p, 4, &y) || !digits(t.p + 5, 2, &mo) || !digits(t.p + 8, 2, &d) || !digits(t.p + 11, 2, &h) ||
        !digits(t.p + 14, 2, &mi) || !digits(t.p + 17, 2, &s))
        return false;
    if (mo < 1 || mo > 12 || d < 1 || d > 31 || h > 23 || mi > 59 || s > 60 || y < 1600)
        return false;
    ret->s = days(y, mo, d) * 86400 + h * 3600 + mi * 60 + s;
    ret->ns = 0;
    if (i < t.n && (t.p[i] == '.' || t.p[i] == ',')) {
        uint32_t unit = 100000000;
        for (i++; i < t.n && t.p[i] >= '0' && t.p[i] <= '9'; i++, unit /= 10)
            ret->ns += unit * (uint32_t)(t.p[i] - '0');
    }
    return offset(t.p + i, t.n - i, ret);
}

static void set_time(struct windows *w, const struct moment *m)
{
    w->has_time = true;
    w->zoned = m->zoned;
    w->e->time = (struct event_time){ m->s - (m->zoned ? 0 : w->zone_s), m->ns };
}

bool windows_time(struct windows *w, struct sm_span value)
{
    struct moment m;

    if (!parse(value, &m))
        return false;
    if (!w->has_time || (m.zoned && !w->zoned))
        set_time(w, &m);
    return true;
}

static uint8_t *fixed(uint8_t *to, unsigned v, int n, char after)
{
    for (int i = n; i--; v /= 10)
        to[i] = (uint8_t)('0' + v % 10);
    to[n] = (uint8_t)after;
    return to + n + 1;
}

/* As EVTX writes it: UTC, seven digits. */
static struct sm_span as_evtx(struct windows *w, const struct moment *m, struct sm_span value)
{
    int64_t day = m->s / 86400 - (m->s % 86400 < 0), z = day + 719468;
    unsigned in = (unsigned)(m->s - day * 86400), doe = (unsigned)(z % 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153, mo = mp < 10 ? mp + 3 : mp - 9;
    uint8_t *to = event_room(w->e, 28), *p = to;

    if (!to) {
        w->err = -ENOMEM;
        return value;
    }
    p = fixed(p, (unsigned)(z / 146097) * 400 + yoe + (mo <= 2), 4, '-');
    p = fixed(p, mo, 2, '-');
    p = fixed(p, doy - (153 * mp + 2) / 5 + 1, 2, 'T');
    p = fixed(p, in / 3600, 2, ':');
    p = fixed(p, in / 60 % 60, 2, ':');
    p = fixed(p, in % 60, 2, '.');
    p = fixed(p, m->ns / 100, 7, 'Z');
    return SM_SPAN(to, (size_t)(p - to));
}

/* ---- values ---- */

static void add(struct windows *w, uint16_t name, enum event_type type, struct sm_span value)
{
    if (!w->err)
        w->err = event_add(w->e, name, type, value);
}

static bool is_guid(const uint8_t *p, bool *ret_capitals)
{
    *ret_capitals = false;
    for (int i = 0; i < 36; i++) {
        if (i == 8 || i == 13 || i == 18 || i == 23) {
            if (p[i] != '-')
                return false;
        } else if (p[i] >= 'A' && p[i] <= 'F') {
            *ret_capitals = true;
        } else if (!((p[i] >= '0' && p[i] <= '9') || (p[i] >= 'a' && p[i] <= 'f'))) {
            return false;
        }
    }
    return true;
}

static struct sm_span guid(struct windows *w, struct sm_span v, bool bare)
{
    bool capitals, braces = v.n == 38 && v.p[0] == '{' && v.p[37] == '}';

    if ((!braces && !(bare && v.n == 36)) || !is_guid(v.p + braces, &capitals) || (braces && !capitals))
        return v;
    uint8_t *p = event_room(w->e, 38);
    if (!p) {
        w->err = -ENOMEM;
        return v;
    }
    p[0] = '{';
    p[37] = '}';
    for (int i = 0; i < 36; i++) {
        uint8_t c = v.p[i + braces];
        p[i + 1] = c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c;
    }
    return SM_SPAN(p, 38);
}

void windows_value(struct windows *w, uint16_t name, enum event_type type, struct sm_span value, bool bare_guid)
{
    if (type == EVENT_TEXT && (value.n == 38 || value.n == 36))
        value = guid(w, value, bare_guid);
    if (name == EVENT_F_Provider_Name || name == EVENT_F_EventID)
        w->known = true;
    add(w, name, type, value);
}

static bool is_whole(struct sm_span s)
{
    size_t i = 0;

    while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
        i++;
    return i && i == s.n && i < 20 && (i == 1 || s.p[0] != '0');
}

void windows_system(struct windows *w, uint16_t name, enum event_type type, struct sm_span value)
{
    const struct event_field_doc *doc = event_field_doc(name);
    struct moment m;

    if (name == w->time && parse(value, &m)) {
        if (!w->has_time || m.zoned)
            set_time(w, &m);
        if (m.zoned)
            value = as_evtx(w, &m, value);
    } else if (type == EVENT_TEXT && is_whole(value) && (!doc || !strcmp(doc->type, "number"))) {
        type = EVENT_NUMBER;
    }
    windows_value(w, name, type, value, true);
}

uint16_t windows_name(struct windows *w, struct sm_span tag, struct sm_span attribute)
{
    uint8_t both[EVENT_NAME_MAX];

    if (!attribute.n)
        return event_names_add(w->names, tag);
    if (tag.n + 1 + attribute.n > sizeof both)
        return EVENT_F_other;
    memcpy(both, tag.p, tag.n);
    both[tag.n] = '_';
    memcpy(both + tag.n + 1, attribute.p, attribute.n);
    return event_names_add(w->names, SM_SPAN(both, tag.n + 1 + attribute.n));
}

uint16_t windows_data_name(struct windows *w, struct sm_span name)
{
    uint8_t text[EVENT_NAME_MAX];
    size_t n = 0;

    if (name.n > sizeof text || !memchr(name.p, ' ', name.n))
        return event_names_add(w->names, name);
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] != ' ')
            text[n++] = name.p[i];
    return event_names_add(w->names, SM_SPAN(text, n));
}

void windows_unnamed(struct windows *w, struct sm_span value)
{
    if (w->unnamed_n == WINDOWS_UNNAMED_MAX)
        w->e->notes |= EVENT_CUT;
    else
        w->unnamed[w->unnamed_n++] = value;
}

/* Data, joined by newline. */
static void join(struct windows *w)
{
    size_t n = w->unnamed_n - 1;

    if (w->unnamed_n == 1) {
        add(w, EVENT_F_Data, EVENT_TEXT, w->unnamed[0]);
        return;
    }
    for (size_t i = 0; i < w->unnamed_n; i++)
        n += w->unnamed[i].n;
    uint8_t *to = event_room(w->e, n), *p = to;
    if (!to) {
        w->e->notes |= EVENT_CUT;
        return;
    }
    for (size_t i = 0; i < w->unnamed_n; i++) {
        if (i)
            *p++ = '\n';
        if (w->unnamed[i].n)
            memcpy(p, w->unnamed[i].p, w->unnamed[i].n);
        p += w->unnamed[i].n;
    }
    add(w, EVENT_F_Data, EVENT_TEXT, SM_SPAN(to, n));
}

int windows_finish(struct windows *w, uint16_t format)
{
    static const uint8_t severity[] = { EVENT_NO_SEVERITY, 2, 3, 4, 6, 7 };
    struct event *e = w->e;

    if (!w->err && w->unnamed_n && w->known)
        join(w);
    if (w->err || !w->known) {
        e->n = w->before;
        return w->err ? w->err : -SM_EFORMAT;
    }
    struct sm_span level = event_text(e, EVENT_F_Level), computer = event_text(e, EVENT_F_Computer);
    if (level.n == 1 && level.p[0] >= '1' && level.p[0] <= '5')
        e->severity = severity[level.p[0] - '0'];
    if (computer.n)
        e->host = computer;
    e->product = EVENT_W_windows;
    e->format = format;
    e->notes |= !w->has_time ? EVENT_NO_TIME : w->zoned ? 0 : EVENT_NO_ZONE;
    return 0;
}
