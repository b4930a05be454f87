/*
 * How fast a machine may send at what hour.  options.hours of a source is a list of rows {days [0..6, 0 = Sunday],
 * from, to,
 * kib_s}; the first row that covers the moment counts, else the source's bandwidth_kib_s.  The box decides, by its own
 * clock in JST, and tells the machine the limit of the moment with every poll: one clock, and a change counts in a run
 * that is under way.
 */
#include "api/internal.h"

#define DAY ((int64_t)86400)
#define JST ((int64_t)9 * 3600)
#define ROWS_MAX 16
#define KIB_MAX 100000000

/* "HH:MM" as minutes; "24:00" is the end of the day.  -1: no time. */
static int minutes(const json_t *v)
{
    const char *s = json_string_value(v);
    if (!s || strlen(s) != 5 || s[2] != ':' || strspn(s, "0123456789:") != 5 || strspn(s + 3, "0123456789") != 2)
        return -1;
    int h = (s[0] - '0') * 10 + (s[1] - '0'), m = (s[3] - '0') * 10 + (s[4] - '0');
    return s[1] == ':' || h > 24 || m > 59 || (h == 24 && m) ? -1 : h * 60 + m;
}

static const char *row_bad(const json_t *row)
{
    static const char *const keys[] = { "days", "from", "to", "kib_s" };
    const json_t *days = json_object_get(row, "days"), *kib = json_object_get(row, "kib_s");
    unsigned seen = 0;
    size_t i;
    const json_t *d;
    if (!json_is_object(row) || json_object_size(row) != sizeof keys / sizeof *keys)
        return "options.hours";
    if (!json_is_array(days) || json_array_size(days) < 1 || json_array_size(days) > 7)
        return "options.hours.days";
    json_array_foreach(days, i, d) {
        json_int_t n = json_is_integer(d) ? json_integer_value(d) : -1;
        if (n < 0 || n > 6 || (seen & (1u << n)))
            return "options.hours.days";
        seen |= 1u << n;
    }
    int from = minutes(json_object_get(row, "from")), to = minutes(json_object_get(row, "to"));
    if (from < 0 || from == 24 * 60)
        return "options.hours.from";
    if (to < 0 || to == from)
        return "options.hours.to";
    if (!json_is_integer(kib) || json_integer_value(kib) < 0 || json_integer_value(kib) > KIB_MAX)
        return "options.hours.kib_s";
    return NULL;
}

const char *bandwidth_bad(const json_t *hours)
{
    size_t i;
    const json_t *row;
    const char *bad = json_is_array(hours) && json_array_size(hours) <= ROWS_MAX ? NULL : "options.hours";
    if (!bad)
        json_array_foreach(hours, i, row)
            bad = bad ? bad : row_bad(row);
    return bad;
}

static bool has_day(const json_t *row, int day)
{
    size_t i;
    const json_t *d;
    json_array_foreach(json_object_get(row, "days"), i, d)
        if (json_integer_value(d) == day)
            return true;
    return false;
}

/* A row whose end is not behind its beginning goes on into the next day. */
static bool covers(const json_t *row, int day, int at)
{
    int from = minutes(json_object_get(row, "from")), to = minutes(json_object_get(row, "to"));
    if (from < to)
        return has_day(row, day) && at >= from && at < to;
    return (has_day(row, day) && at >= from) || (has_day(row, (day + 6) % 7) && at < to);
}

int64_t bandwidth_now(const json_t *source, int64_t now_s)
{
    const json_t *hours = json_object_get(json_object_get(source, "options"), "hours"), *row;
    int64_t local = now_s + JST, days = local / DAY;
    int day = (int)((days + 4) % 7), at = (int)(local % DAY / 60); /* 1970-01-01 was a Thursday */
    size_t i;
    json_array_foreach(hours, i, row)
        if (local >= 0 && !row_bad(row) && covers(row, day, at))
            return json_integer_value(json_object_get(row, "kib_s"));
    return api_int(source, "bandwidth", 0);
}
