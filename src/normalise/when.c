/* Moments in the forms that devices write.  No locale, no strptime: these run for every line. */
#include <errno.h>
#include "normalise/format.h"

enum { AHEAD_S = 7 * 86400 };

/* Days since 1970-01-01 of a date of the Gregorian calendar (years from March: a leap day ends its year). */
static int64_t days_of(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int year_of(int64_t s)
{
    int64_t z = s / 86400 - (s % 86400 < 0) + 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);

    return (int)(yoe + era * 400 + (doy >= 306));
}

static int month_days(int year, int m)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    bool leap = year == 0 || (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));

    return m == 2 && leap ? 29 : days[m - 1];
}

static bool date_ok(const struct when *w)
{
    return w->month >= 1 && w->month <= 12 && w->day >= 1 && w->day <= month_days(w->year, w->month);
}

static bool two(struct scan *s, int *ret)
{
    uint64_t v;

    if (!scan_uint(s, 2, 2, &v))
        return false;
    *ret = (int)v;
    return true;
}

static bool one_or_two(struct scan *s, int *ret)
{
    uint64_t v;

    if (!scan_uint(s, 1, 2, &v))
        return false;
    *ret = (int)v;
    return true;
}

/* ".123456789" or ",123": as many digits as there are, nine of them counted. */
static void fraction(struct scan *s, struct when *w)
{
    if (scan_left(s) < 2 || (*s->p != '.' && *s->p != ',') || !is_digit(s->p[1]))
        return;
    s->p++;
    uint32_t v = 0, n = 0;
    for (; s->p < s->end && is_digit(*s->p); s->p++, n++)
        if (n < 9)
            v = v * 10 + (uint32_t)(*s->p - '0');
    for (; n < 9; n++)
        v *= 10;
    w->ns = v;
}

/* 8:32, 08:32:11, 08:32:11.5 */
static bool clock(struct scan *s, struct when *w)
{
    if (!one_or_two(s, &w->h) || !scan_c(s, ':') || !two(s, &w->m))
        return false;
    w->sec = 0;
    if (scan_left(s) > 2 && *s->p == ':' && is_digit(s->p[1])) {
        s->p++;
        if (!two(s, &w->sec))
            return false;
        fraction(s, w);
    }
    bool midnight = w->h == 24 && w->m == 0 && w->sec == 0;
    return (w->h < 24 || midnight) && w->m < 60 && w->sec <= 60;
}

/* Z, +09:00, +0900, +09 */
static bool offset(struct scan *s, struct when *w)
{
    struct scan t = *s;
    int h, m = 0;

    if (scan_c(&t, 'Z')) {
        if (t.p < t.end && ((*t.p >= 'A' && *t.p <= 'Z') || (*t.p >= 'a' && *t.p <= 'z')))
            return false;
        w->zone_s = 0;
    } else {
        bool minus = scan_c(&t, '-');
        if ((!minus && !scan_c(&t, '+')) || !two(&t, &h))
            return false;
        (void)scan_c(&t, ':');
        if (is_digit(scan_peek(&t)) && !two(&t, &m))
            return false;
        if (h > 14 || m > 59)
            return false;
        w->zone_s = (minus ? -1 : 1) * (h * 3600 + m * 60);
    }
    w->has_zone = true;
    *s = t;
    return true;
}

/* Names of zones that devices write and that mean one thing here; JST above all. */
static const struct { const char *name; int hours; } zones[] = {
    { "UTC", 0 }, { "GMT", 0 }, { "JST", 9 }, { "KST", 9 }, { "EST", -5 }, { "EDT", -4 }, { "CDT", -5 }, { "MST", -7 },
    { "PST", -8 },
    { "PDT", -7 }, { "CET", 1 }, { "CEST", 2 },
};

static void zone_name(struct scan *s, struct when *w)
{
    struct scan t = *s;

    (void)scan_c(&t, ' ');
    for (size_t i = 0; i < sizeof zones / sizeof *zones; i++) {
        struct scan u = t;
        int after;
        if (!scan_lit_n(&u, zones[i].name, strlen(zones[i].name)))
            continue;
        after = scan_peek(&u);
        if ((after >= 'A' && after <= 'Z') || (after >= 'a' && after <= 'z'))
            continue;
        w->zone_s = zones[i].hours * 3600;
        w->has_zone = true;
        *s = u;
        return;
    }
}

int normalise_zone(struct sm_span text, int *ret_s)
{
    struct scan s = scan_of(span_trim(text));
    struct when w = { 0 };

    if (!offset(&s, &w))
        zone_name(&s, &w);
    if (!w.has_zone || s.p != s.end)
        return -SM_EFORMAT;
    *ret_s = w.zone_s;
    return 0;
}

bool when_iso(struct scan *s, struct when *ret)
{
    struct scan t = *s;
    struct when w = { 0 };
    uint64_t y;

    if (!scan_uint(&t, 4, 4, &y) || y < 1970 || y > 9999)
        return false;
    int sep = scan_peek(&t);
    if (sep != '-' && sep != '/' && sep != '.')
        return false;
    t.p++;
    w.year = (int)y;
    if (!one_or_two(&t, &w.month) || !scan_c(&t, (char)sep) || !one_or_two(&t, &w.day) || !date_ok(&w))
        return false;
    if (!scan_c(&t, 'T') && !scan_c(&t, ' ') && !scan_c(&t, '_'))
        return false;
    scan_blank(&t);
    if (!clock(&t, &w))
        return false;
    struct scan u = t;
    scan_blank(&u);
    if (offset(&t, &w) || offset(&u, &w))
        t.p = t.p > u.p ? t.p : u.p;
    else
        zone_name(&t, &w);
    if (!w.has_zone && scan_peek(&t) == 'Z')
        return false;
    *s = t;
    *ret = w;
    return true;
}

/* Jan .. Dec in any case; full names pass too. */
static bool month_name(struct scan *s, int *ret)
{
    static const char names[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    uint8_t a[3];

    if (scan_left(s) < 4)
        return false;
    for (int i = 0; i < 3; i++)
        a[i] = s->p[i] | 0x20;
    for (int i = 0; i < 12; i++) {
        if (memcmp(a, names + 3 * i, 3))
            continue;
        s->p += 3;
        *ret = i + 1;
        return true;
    }
    return false;
}

static bool weekday(struct scan *s)
{
    static const char names[] = "SunMonTueWedThuFriSat";

    if (scan_left(s) < 4)
        return false;
    for (int i = 0; i < 7; i++) {
        if (memcmp(s->p, names + 3 * i, 3))
            continue;
        s->p += 3;
        (void)scan_c(s, ',');
        scan_blank(s);
        return true;
    }
    return false;
}

/* A year of four digits that is followed by a blank, a colon or the end. */
static bool loose_year(struct scan *s, struct when *w)
{
    struct scan t = *s;
    uint64_t y;

    if (!scan_uint(&t, 4, 4, &y) || y < 1970 || y > 2199)
        return false;
    int c = scan_peek(&t);
    if (c != ' ' && c != ':' && c != -1 && c != ',' && c != ']')
        return false;
    w->year = (int)y;
    *s = t;
    return true;
}

bool when_bsd(struct scan *s, struct when *ret)
{
    struct scan t = *s;
    struct when w = { 0 };

    if (is_digit(scan_peek(&t)) && (!loose_year(&t, &w) || !scan_c(&t, ' ')))
        return false;
    if (!month_name(&t, &w.month) || !scan_c(&t, ' '))
        return false;
    scan_blank(&t);
    if (!one_or_two(&t, &w.day))
        return false;
    (void)scan_c(&t, ',');
    if (!scan_c(&t, ' '))
        return false;
    scan_blank(&t);
    if (!w.year && loose_year(&t, &w)) /* Cisco: Mar  1 2026 00:00:01 */
        scan_blank(&t);
    if (!date_ok(&w) || !clock(&t, &w))
        return false;
    struct scan u = t;
    if (scan_c(&u, ' ') && !w.year && loose_year(&u, &w)) {
        t = u;
        if (!date_ok(&w))
            return false;
    }
    u = t;
    scan_blank(&u);
    if (offset(&t, &w))
        ;
    else if (is_digit(u.p + 1 < u.end ? u.p[1] : 0) && offset(&u, &w))
        t = u;
    else
        zone_name(&t, &w);
    *s = t;
    *ret = w;
    return true;
}

bool when_clf(struct scan *s, struct when *ret)
{
    struct scan t = *s;
    struct when w = { 0 };
    uint64_t y;

    if (!one_or_two(&t, &w.day) || !scan_c(&t, '/'))
        return false;
    if (!month_name(&t, &w.month) && !two(&t, &w.month))
        return false;
    if (!scan_c(&t, '/') || !scan_uint(&t, 4, 4, &y) || y < 1970 || (!scan_c(&t, ':') && !scan_c(&t, ' ')))
        return false;
    w.year = (int)y;
    if (w.month > 12 && w.day <= 12) {
        int d = w.month;
        w.month = w.day;
        w.day = d;
    }
    if (!date_ok(&w) || !clock(&t, &w))
        return false;
    struct scan u = t;
    scan_blank(&u);
    if (offset(&u, &w))
        t = u;
    *s = t;
    *ret = w;
    return true;
}

bool when_ctime(struct scan *s, struct when *ret)
{
    struct scan t = *s;
    struct when w;

    if (!weekday(&t) || !when_bsd(&t, &w))
        return false;
    if (!w.year) { /* the zone before the year: date(1) */
        struct scan u = t;
        if (scan_c(&u, ' ') && loose_year(&u, &w))
            t = u;
    }
    *s = t;
    *ret = w;
    return true;
}

/* ---- Japan ---- */

static const struct { const char *name; int first; } eras[] = {
    { "令和", 2019 }, { "平成", 1989 }, { "昭和", 1926 }, { "R", 2019 }, { "H", 1989 }, { "S", 1926 },
};

static bool era_year(struct scan *s, struct when *w)
{
    uint64_t y = 1;

    for (size_t i = 0; i < sizeof eras / sizeof *eras; i++) {
        struct scan t = *s;
        if (!scan_lit_n(&t, eras[i].name, strlen(eras[i].name)))
            continue;
        scan_blank(&t);
        if (!scan_lit(&t, "元") && (!scan_uint(&t, 1, 2, &y) || !y))
            return false;
        w->year = eras[i].first + (int)y - 1;
        *s = t;
        return true;
    }
    if (!scan_uint(s, 4, 4, &y) || y < 1970)
        return false;
    w->year = (int)y;
    return true;
}

static bool part(struct scan *s, const char *mark, char other)
{
    return scan_lit_n(s, mark, strlen(mark)) || (other && scan_c(s, other));
}

/* （火） and the like between date and time. */
static void day_of_week(struct scan *s)
{
    static const char *const days[] = { "日", "月", "火", "水", "木", "金", "土" };
    struct scan t = *s;

    if (!scan_c(&t, '(') && !scan_lit(&t, "（"))
        return;
    for (size_t i = 0; i < 7; i++)
        if (scan_lit_n(&t, days[i], 3) && (scan_c(&t, ')') || scan_lit(&t, "）"))) {
            *s = t;
            return;
        }
}

bool when_wareki(struct scan *s, struct when *ret)
{
    struct scan t = *s;
    struct when w = { 0 };

    if (!era_year(&t, &w) || (!part(&t, "年", '.') && !scan_c(&t, '/') && !scan_c(&t, '-')))
        return false;
    scan_blank(&t);
    if (!one_or_two(&t, &w.month) || (!part(&t, "月", '.') && !scan_c(&t, '/') && !scan_c(&t, '-')))
        return false;
    scan_blank(&t);
    if (!one_or_two(&t, &w.day) || !date_ok(&w))
        return false;
    (void)part(&t, "日", 0);
    day_of_week(&t);
    scan_blank(&t);
    (void)scan_c(&t, 'T');
    bool afternoon = scan_lit(&t, "午後");
    bool morning = !afternoon && scan_lit(&t, "午前");
    scan_blank(&t);
    struct scan u = t;
    if (!clock(&u, &w)) {
        u = t;
        if (!one_or_two(&u, &w.h) || !part(&u, "時", 0) || w.h > 24)
            return false;
        scan_blank(&u);
        w.m = w.sec = 0;
        if (one_or_two(&u, &w.m) && !part(&u, "分", 0))
            return false;
        scan_blank(&u);
        if (is_digit(scan_peek(&u)) && (!one_or_two(&u, &w.sec) || !part(&u, "秒", 0)))
            return false;
        if (w.m > 59 || w.sec > 60)
            return false;
    }
    if ((afternoon || morning) && w.h == 12)
        w.h = 0;
    if (afternoon && w.h < 12)
        w.h += 12;
    *s = u;
    *ret = w;
    return true;
}

bool when_epoch(struct scan *s, struct when *ret)
{
    struct scan t = *s;
    struct when w = { .epoch = true, .has_zone = true, .year = 1 };
    uint64_t v;
    const uint8_t *from = t.p;

    if (!scan_uint(&t, 9, 19, &v) || is_digit(scan_peek(&t)))
        return false;
    size_t digits = (size_t)(t.p - from);
    uint64_t per = digits <= 11 ? 1 : digits <= 14 ? 1000 : digits <= 17 ? 1000000 : 1000000000;
    w.s = (int64_t)(v / per);
    w.ns = (uint32_t)(v % per * (1000000000 / per));
    if (per == 1)
        fraction(&t, &w);
    *s = t;
    *ret = w;
    return true;
}

bool when_any(struct scan *s, struct when *ret)
{
    return when_iso(s, ret) || when_wareki(s, ret) || when_ctime(s, ret) || when_bsd(s, ret) || when_clf(s, ret) ||
        when_epoch(s, ret);
}

static int64_t seconds(const struct when *w, int year)
{
    return days_of(year, w->month, w->day) * 86400 + w->h * 3600 + w->m * 60 + w->sec - w->zone_s;
}

/* The latest year by which it lies in the past: logs are read late, never before they are written.  A clock may be days ahead, and
 * what was logged after New Year's midnight by one that is arrives before it. */
static int latest_year(const struct when *w, int64_t seen)
{
    int year = year_of(seen + w->zone_s);

    for (int y = year + 1; y > year - 8; y--) /* a 29th of February: at most eight years back */
        if (w->day <= month_days(y, w->month) && seconds(w, y) - seen <= AHEAD_S)
            return y;
    return year;
}

void when_set(struct format_ctx *c, const struct when *given)
{
    struct when w = *given;
    struct event *e = c->e;

    e->notes &= ~(uint32_t)(EVENT_NO_TIME | EVENT_NO_ZONE | EVENT_NO_YEAR);
    if (w.epoch) {
        e->time = (struct event_time){ w.s, w.ns };
        return;
    }
    if (!w.has_zone) {
        w.zone_s = c->hint->zone_s;
        e->notes |= EVENT_NO_ZONE;
    }
    if (!w.year) {
        w.year = latest_year(&w, e->seen.s);
        e->notes |= EVENT_NO_YEAR;
    }
    e->time = (struct event_time){ seconds(&w, w.year), w.ns };
    if (e->time.s < 0) { /* a clock that was never set, east of Greenwich: no time, as 1969 is none */
        e->time = e->seen;
        e->notes = (e->notes & ~(uint32_t)(EVENT_NO_ZONE | EVENT_NO_YEAR)) | EVENT_NO_TIME;
    }
}
