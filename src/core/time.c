#include "core/time.h"
#include <stdbool.h>

enum { DAY = 86400, JST = 9 * 3600 };
/* Years that have four digits: all that is printed lies between them. */
static const int64_t first_s = -62167219200, last_s = 253402300799;

int sm_time_cmp(struct sm_time a, struct sm_time b)
{
    if (a.s != b.s)
        return a.s < b.s ? -1 : 1;
    return (a.ns > b.ns) - (a.ns < b.ns);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar, and back: H. Hinnant, "chrono-Compatible
 * Low-Level Date Algorithms" (days_from_civil, civil_from_days). */
static int64_t days_from_civil(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = floor_div(y, 400);
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468;
}

static void civil_from_days(int64_t z, struct sm_civil *c)
{
    z += 719468;
    int64_t era = floor_div(z, 146097);
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    c->day = (int)(doy - (153 * mp + 2) / 5 + 1);
    c->month = (int)(mp < 10 ? mp + 3 : mp - 9);
    c->year = (int)(yoe + era * 400 + (c->month <= 2));
}

static void civil(int64_t s, struct sm_civil *c)
{
    if (s < first_s)
        s = first_s;
    if (s > last_s)
        s = last_s;
    int64_t day = floor_div(s, DAY);
    int64_t rest = s - day * DAY;
    civil_from_days(day, c);
    c->weekday = (int)((day % 7 + 11) % 7);
    c->hour = (int)(rest / 3600);
    c->minute = (int)(rest / 60 % 60);
    c->second = (int)(rest % 60);
}

static int64_t to_jst(int64_t s)
{
    return s > last_s - JST ? last_s : s + JST;
}

void sm_time_civil_jst(struct sm_time t, struct sm_civil *ret)
{
    civil(to_jst(t.s), ret);
}

int64_t sm_time_day_jst(struct sm_time t)
{
    return floor_div(to_jst(t.s), DAY);
}

void sm_time_rfc3339(struct sm_time t, char *ret)
{
    struct sm_civil c;
    civil(t.s, &c);
    char frac[8] = "";
    if (t.ns)
        (void)snprintf(frac, sizeof frac, ".%03u", t.ns / 1000000 % 1000); /* fits by construction */
    (void)snprintf(ret, SM_TIME_TEXT, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", c.year, c.month, c.day, c.hour, c.minute,
        c.second, frac);
}

void sm_time_jst(struct sm_time t, char *ret)
{
    struct sm_civil c;
    sm_time_civil_jst(t, &c);
    (void)snprintf(ret, SM_TIME_TEXT, "%04d-%02d-%02d %02d:%02d", c.year, c.month, c.day, c.hour, c.minute);
}

/* Exactly n digits; -1 if not. */
static int digits(const char **p, int n)
{
    int v = 0;
    for (int i = 0; i < n; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return -1;
        v = v * 10 + (**p - '0');
    }
    return v;
}

static int month_days(int y, int m)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return m == 2 && leap ? 29 : days[m - 1];
}

static bool parse_date(const char **p, struct sm_civil *c)
{
    c->year = digits(p, 4);
    if (c->year < 0 || *(*p)++ != '-')
        return false;
    c->month = digits(p, 2);
    if (c->month < 1 || c->month > 12 || *(*p)++ != '-')
        return false;
    c->day = digits(p, 2);
    return c->day >= 1 && c->day <= month_days(c->year, c->month);
}

static bool parse_clock(const char **p, struct sm_civil *c)
{
    c->hour = digits(p, 2);
    if (c->hour < 0 || c->hour > 23 || *(*p)++ != ':')
        return false;
    c->minute = digits(p, 2);
    if (c->minute < 0 || c->minute > 59 || *(*p)++ != ':')
        return false;
    c->second = digits(p, 2);
    return c->second >= 0 && c->second <= 60;
}

/* ".123456789123": digits past the ninth are dropped, at most 64 are read. */
static bool parse_fraction(const char **p, uint32_t *ret_ns)
{
    uint32_t ns = 0, unit = 100000000;
    if (**p != '.') {
        *ret_ns = 0;
        return true;
    }
    const char *start = ++*p;
    for (; **p >= '0' && **p <= '9' && *p - start < 64; (*p)++, unit /= 10)
        ns += (uint32_t)(**p - '0') * unit;
    *ret_ns = ns;
    return *p > start;
}

static bool parse_offset(const char **p, int *ret_s)
{
    char sign = *(*p)++;
    if (sign == 'Z' || sign == 'z') {
        *ret_s = 0;
        return true;
    }
    if (sign != '+' && sign != '-')
        return false;
    int h = digits(p, 2);
    if (h < 0 || h > 23 || *(*p)++ != ':')
        return false;
    int m = digits(p, 2);
    if (m < 0 || m > 59)
        return false;
    *ret_s = (h * 3600 + m * 60) * (sign == '-' ? -1 : 1);
    return true;
}

int sm_time_parse(const char *text, struct sm_time *ret)
{
    struct sm_civil c = {0};
    uint32_t ns;
    int offset;
    const char *p = text;
    if (!parse_date(&p, &c) || (*p != 'T' && *p != 't' && *p != ' '))
        return -SM_EFORMAT;
    p++;
    if (!parse_clock(&p, &c) || !parse_fraction(&p, &ns) || !parse_offset(&p, &offset) || *p)
        return -SM_EFORMAT;
    int64_t s = days_from_civil(c.year, c.month, c.day) * DAY + c.hour * 3600 + c.minute * 60 + c.second - offset;
    /* A leap second exists only at the end of a UTC day. */
    if (c.second == 60 && floor_div(s, DAY) * DAY != s)
        return -SM_EFORMAT;
    *ret = (struct sm_time){s, ns};
    return 0;
}

void sm_time_wareki(struct sm_time t, char *ret)
{
    static const struct {
        int from; /* yyyymmdd of its first day */
        const char *name;
    } era[] = {{20190501, "令和"}, {19890108, "平成"}, {19261225, "昭和"}, {19120730, "大正"}, {18681023, "明治"}};
    static const char *const weekday[] = {"日", "月", "火", "水", "木", "金", "土"};
    struct sm_civil c;
    sm_time_civil_jst(t, &c);
    int date = c.year * 10000 + c.month * 100 + c.day;
    char year[48];
    (void)snprintf(year, sizeof year, "%d年", c.year);
    for (size_t i = 0; i < sizeof era / sizeof era[0]; i++) {
        if (date < era[i].from)
            continue;
        int n = c.year - era[i].from / 10000 + 1;
        if (n == 1)
            (void)snprintf(year, sizeof year, "%s元年(%d年)", era[i].name, c.year);
        else
            (void)snprintf(year, sizeof year, "%s%d年(%d年)", era[i].name, n, c.year);
        break;
    }
    (void)snprintf(ret, 96, "%s %d月%d日(%s) %d:%02d", year, c.month, c.day, weekday[c.weekday], c.hour, c.minute);
}
