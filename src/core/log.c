#include "core/log.h"
#include <errno.h>
#include <stdarg.h>
#include <unistd.h>
#include "core/buf.h"
#include "plat/clock.h"

enum { TEXT_MAX = 4096 };
static char name[32] = "sakimori";
static enum sm_level least_level = SM_INFO;

void sm_log_init(const char *program, enum sm_level least)
{
    (void)snprintf(name, sizeof name, "%s", program); /* a long name is cut */
    least_level = least;
}

/* One printable character at p as it is, anything else as \xNN.  Returns the bytes used up. */
static size_t escape_one(const uint8_t *p, size_t n, char *out, size_t *out_n)
{
    size_t k = *p < 0x80 ? 1 : *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
    /* U+0080..U+009F are controls too (CSI among them); U+2028/2029 end a line for some readers. */
    bool control = *p < 0x20 || *p == 0x7f || (*p == 0xc2 && n > 1 && p[1] < 0xa0);
    bool line_end = k == 3 && n > 2 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9);
    if (!control && !line_end && k <= n && sm_utf8_valid((struct sm_span){p, k})) {
        memcpy(out + *out_n, p, k);
        *out_n += k;
        return k;
    }
    static const char digit[] = "0123456789abcdef";
    const char x[4] = {'\\', 'x', digit[*p >> 4], digit[*p & 15]};
    memcpy(out + *out_n, x, sizeof x);
    *out_n += sizeof x;
    return 1;
}

void sm_log(enum sm_level level, const char *fmt, ...)
{
    static const char *const word[] = {"debug", "info", "warn", "error"};
    if (level < least_level)
        return;
    int saved = errno;
    char text[TEXT_MAX], line[TEXT_MAX * 4 + 128], now[SM_TIME_TEXT];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t text_n = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    struct sm_time t = plat_clock_wall();
    if (t.ns == 0)
        t.ns = 1; /* always milliseconds, so that lines stay aligned */
    sm_time_rfc3339(t, now);
    size_t at = (size_t)snprintf(line, 128, "%s %s %s: ", now, word[level], name);
    for (size_t i = 0; i < text_n;)
        i += escape_one((const uint8_t *)text + i, text_n - i, line, &at);
    line[at++] = '\n';
    for (size_t i = 0; i < at;) {
        ssize_t w = write(STDERR_FILENO, line + i, at - i);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            break; /* nobody listens: there is no other place to say it */
        i += (size_t)w;
    }
    errno = saved;
}
