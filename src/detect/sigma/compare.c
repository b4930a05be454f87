#include "detect/sigma/internal.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Decimal with sign, fraction and exponent, or 0x hexadecimal.  No locale: strtod would ask one. */
bool number_read(struct sm_span s, double *ret)
{
    size_t i = 0;
    bool minus = false, any = false;
    double v = 0;

    while (i < s.n && s.p[i] == ' ')
        i++;
    while (s.n > i && s.p[s.n - 1] == ' ')
        s.n--;
    if (i < s.n && (s.p[i] == '-' || s.p[i] == '+'))
        minus = s.p[i++] == '-';
    if (s.n - i > 2 && s.n - i <= 18 && s.p[i] == '0' && (s.p[i + 1] | 32) == 'x') {
        for (i += 2; i < s.n; i++) {
            uint8_t c = s.p[i], l = c | 32;
            if (!((c >= '0' && c <= '9') || (l >= 'a' && l <= 'f')))
                return false;
            v = v * 16 + (c <= '9' ? c - '0' : l - 'a' + 10);
        }
        *ret = minus ? -v : v;
        return true;
    }
    for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++, any = true)
        v = v * 10 + (s.p[i] - '0');
    if (i < s.n && s.p[i] == '.') {
        double part = 0.1;
        for (i++; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++, any = true, part /= 10)
            v += part * (s.p[i] - '0');
    }
    if (any && i < s.n && (s.p[i] | 32) == 'e' && s.n - i > 1) {
        bool down = s.p[++i] == '-';
        int e = 0;
        if (s.p[i] == '-' || s.p[i] == '+')
            i++;
        if (i == s.n)
            return false;
        for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9' && e < 400; i++)
            e = e * 10 + (s.p[i] - '0');
        v *= pow(10, down ? -e : e);
    }
    if (!any || i != s.n)
        return false;
    *ret = minus ? -v : v;
    return true;
}

bool number_compare(enum compare c, double have, double want)
{
    switch (c) {
    case CMP_LT:
        return have < want;
    case CMP_LTE:
        return have <= want;
    case CMP_GT:
        return have > want;
    case CMP_GTE:
        return have >= want;
    default:
        return have >= want && have <= want;
    }
}

/* An address; IPv4 in IPv6's clothes (::ffff:192.0.2.1, as Windows writes it) is IPv4. */
static bool address_read(const char *text, uint8_t ret[16], bool *ret_v6)
{
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

    memset(ret, 0, 16);
    if (!strchr(text, ':')) {
        *ret_v6 = false;
        return inet_pton(AF_INET, text, ret) == 1;
    }
    if (inet_pton(AF_INET6, text, ret) != 1)
        return false;
    *ret_v6 = memcmp(ret, mapped, 12) != 0;
    if (!*ret_v6) {
        memmove(ret, ret + 12, 4);
        memset(ret + 4, 0, 12);
    }
    return true;
}

bool cidr_read(struct sm_span s, struct cidr *ret)
{
    char text[64];
    struct cidr c = { 0 };

    if (s.n >= sizeof text)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    char *slash = strchr(text, '/');
    if (slash)
        *slash++ = 0;
    bool colon = strchr(text, ':') != NULL;
    if (!address_read(text, c.address, &c.v6))
        return false;
    long most = c.v6 ? 128 : 32, bits = most;
    if (slash) {
        char *end;
        bits = strtol(slash, &end, 10);
        if (end == slash || *end || bits < 0)
            return false;
        if (colon && !c.v6)
            bits -= 96; /* of ::ffff:a.b.c.d/n */
        if (bits < 0 || bits > most)
            return false;
    }
    c.bits = (uint8_t)bits;
    *ret = c;
    return true;
}

bool cidr_match(const struct cidr *c, struct sm_span s)
{
    char text[64];
    uint8_t a[16];
    bool v6;

    if (s.n >= sizeof text || !s.n)
        return false;
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    char *zone = strchr(text, '%'); /* fe80::1%eth0 */
    if (zone)
        *zone = 0;
    if (!address_read(text, a, &v6) || v6 != c->v6)
        return false;
    size_t whole = c->bits / 8, rest = c->bits % 8;
    if (memcmp(a, c->address, whole))
        return false;
    return !rest || (a[whole] ^ c->address[whole]) >> (8 - rest) == 0;
}

/* Days since 1970-01-01 of a date of the Gregorian calendar, and back (H. Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms"). */
static int64_t days_of(int64_t y, int m, int d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1, doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;

    return era * 146097 + doe - 719468;
}

static void date_of(int64_t z, int64_t *y, int *m, int *d)
{
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365, doy = doe - (365 * yoe + yoe / 4 - yoe / 100),
            mp = (5 * doy + 2) / 153;

    *d = (int)(doy - (153 * mp + 2) / 5 + 1);
    *m = (int)(mp < 10 ? mp + 3 : mp - 9);
    *y = yoe + era * 400 + (*m <= 2);
}

/* ISO 8601: the week of a day is that of its Thursday. */
static int week_of(int64_t days)
{
    int64_t weekday = ((days + 3) % 7 + 7) % 7, thursday = days - weekday + 3, y;
    int m, d;

    date_of(thursday, &y, &m, &d);
    return (int)((thursday - days_of(y, 1, 1)) / 7 + 1);
}

double unit_of(enum unit u, int64_t s)
{
    int64_t days = (s >= 0 ? s : s - 86399) / 86400, y;
    int64_t in_day = s - days * 86400;
    int m, d;

    date_of(days, &y, &m, &d);
    switch (u) {
    case UNIT_MINUTE:
        return (double)(in_day / 60 % 60);
    case UNIT_HOUR:
        return (double)(in_day / 3600);
    case UNIT_DAY:
        return d;
    case UNIT_WEEK:
        return week_of(days);
    case UNIT_MONTH:
        return m;
    default:
        return (double)y;
    }
}

static bool digits(struct sm_span *s, size_t n, int *ret)
{
    int v = 0;

    if (s->n < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (s->p[i] < '0' || s->p[i] > '9')
            return false;
        v = v * 10 + (s->p[i] - '0');
    }
    s->p += n;
    s->n -= n;
    *ret = v;
    return true;
}

static bool mark(struct sm_span *s, const char *one_of)
{
    if (!s->n || !s->p[0] || !strchr(one_of, s->p[0]))
        return false;
    s->p++;
    s->n--;
    return true;
}

/* YYYY-MM-DD or YYYY/MM/DD, and HH:MM after a T or a space; as it stands, without a zone. */
bool unit_read(enum unit u, struct sm_span s, double *ret)
{
    int y, m, d, h = 0, min = 0;

    if (!digits(&s, 4, &y) || !mark(&s, "-/") || !digits(&s, 2, &m) || !mark(&s, "-/") || !digits(&s, 2, &d))
        return false;
    if (m < 1 || m > 12 || d < 1 || d > 31)
        return false;
    if (mark(&s, "T ")) {
        if (!digits(&s, 2, &h) || !mark(&s, ":") || !digits(&s, 2, &min) || h > 23 || min > 59)
            return false;
    } else if (u == UNIT_HOUR || u == UNIT_MINUTE) {
        return false;
    }
    *ret = unit_of(u, days_of(y, m, d) * 86400 + h * 3600 + min * 60);
    return true;
}
