#include "sakimorid/collector/framing.h"
#include <errno.h>
#include <stdio.h>
#include <sys/types.h>

enum { DIGITS_MAX = 9 };

void framer_init(struct framer *f, size_t max)
{
    *f = (struct framer){ .part = SM_BUF_INIT(max) };
}

void framer_wipe(struct framer *f)
{
    sm_buf_wipe(&f->part);
}

bool framer_has_part(const struct framer *f)
{
    return f->part.n || f->digits || f->in_body || f->cut;
}

static void give(struct framer *f, struct sm_span m, framer_fn fn, void *arg)
{
    while (m.n && (m.p[m.n - 1] == '\n' || m.p[m.n - 1] == '\r' || m.p[m.n - 1] == '\0'))
        m.n--;
    if (m.n)
        fn(arg, m, f->cut);
}

static void give_part(struct framer *f, framer_fn fn, void *arg)
{
    give(f, sm_buf_span(&f->part), fn, arg);
    sm_buf_clear(&f->part);
    if (f->part.cap > 64 << 10)
        sm_buf_wipe(&f->part); /* one long message does not keep its memory for ever */
    f->cut = f->in_body = false;
    f->digits = 0;
    f->left = 0;
}

/* Keep more of the message under way, as far as room reaches. */
static int keep(struct framer *f, const uint8_t *p, size_t n, size_t room)
{
    size_t most = room < f->part.max ? room : f->part.max;
    size_t k = f->part.n >= most ? 0 : most - f->part.n;

    k = k < n ? k : n;
    if (k < n) {
        f->cut = true;
        f->skipped += n - k;
    }
    if (sm_buf_put(&f->part, p, k) < 0) {
        f->skipped += k + f->part.n;
        f->cut = true;
        sm_buf_wipe(&f->part);
        return -ENOMEM;
    }
    return 0;
}

/* How much of in was used, or an error. */
static ssize_t lines(struct framer *f, struct sm_span in, size_t room, framer_fn fn, void *arg)
{
    const uint8_t *end = memchr(in.p, '\n', in.n);
    size_t n = end ? (size_t)(end - in.p) : in.n;
    int r;

    if (end && !f->part.n && !f->cut && n <= f->part.max) {
        give(f, SM_SPAN(in.p, n), fn, arg);
        return (ssize_t)n + 1;
    }
    r = keep(f, in.p, n, room);
    if (end)
        give_part(f, fn, arg);
    return r < 0 ? r : (ssize_t)(n + (end != NULL));
}

/* The length was none: what was read of it belongs to a line. */
static void break_down(struct framer *f)
{
    char text[24];
    int n = f->digits ? snprintf(text, sizeof text, "%llu", (unsigned long long)f->left) : 0;

    f->broken++;
    f->framing = FRAMING_LINES;
    f->left = 0;
    f->digits = 0;
    /* A few bytes of a buffer that just was empty: without memory for them the line begins a little later. */
    (void)sm_buf_put(&f->part, text, n > 0 ? (size_t)n : 0);
}

static ssize_t counted_head(struct framer *f, struct sm_span in)
{
    size_t i = 0;

    for (; i < in.n; i++) {
        uint8_t c = in.p[i];
        if (!f->digits && (c == '\n' || c == '\r' || c == '\0'))
            continue; /* some end a message twice */
        if (c == ' ' && f->digits) {
            f->in_body = true;
            return (ssize_t)i + 1;
        }
        if (c < '0' || c > '9' || (c == '0' && !f->digits) || f->digits >= DIGITS_MAX) {
            break_down(f);
            return (ssize_t)i;
        }
        f->left = f->left * 10 + (c - '0');
        f->digits++;
    }
    return (ssize_t)i;
}

static ssize_t counted(struct framer *f, struct sm_span in, size_t room, framer_fn fn, void *arg)
{
    size_t n = f->left < in.n ? (size_t)f->left : in.n;
    int r = 0;

    if (!f->in_body)
        return counted_head(f, in);
    if (n == f->left && !f->part.n && !f->cut && n <= f->part.max) {
        give(f, SM_SPAN(in.p, n), fn, arg);
        f->in_body = false;
        f->digits = 0;
        f->left = 0;
        return (ssize_t)n;
    }
    r = keep(f, in.p, n, room);
    f->left -= n;
    if (!f->left)
        give_part(f, fn, arg);
    return r < 0 ? r : (ssize_t)n;
}

/* The first bytes of a connection are put together in part until they say which framing it is. */
static ssize_t detect(struct framer *f, struct sm_span in, size_t room, framer_fn fn, void *arg)
{
    uint8_t first[DIGITS_MAX + 2];
    size_t n = f->part.n, used = 0, digits = 0;
    bool space = false;

    memcpy(first, f->part.p ? f->part.p : first, n);
    while (n < sizeof first && used < in.n)
        first[n++] = in.p[used++];
    while (digits < n && first[digits] >= '0' && first[digits] <= '9')
        digits++;
    space = digits && digits <= DIGITS_MAX && first[0] != '0' && digits < n && first[digits] == ' ';
    if (n < sizeof first && (digits == n || (space && digits + 1 == n)) && (!n || first[0] != '0')) {
        int r = sm_buf_put(&f->part, in.p, used);
        return r < 0 ? r : (ssize_t)used;
    }
    f->framing = space && digits + 1 < n && (first[digits + 1] == '<' || first[digits + 1] == '{') ? FRAMING_COUNTED :
        FRAMING_LINES;
    sm_buf_clear(&f->part);
    int r = framer_feed(f, SM_SPAN(first, n), room, fn, arg); /* one level deep: it is known now */
    return r < 0 ? r : (ssize_t)used;
}

int framer_feed(struct framer *f, struct sm_span in, size_t room, framer_fn fn, void *arg)
{
    int failed = 0;

    while (in.n) {
        ssize_t k = f->framing == FRAMING_UNKNOWN ? detect(f, in, room, fn, arg) :
            f->framing == FRAMING_LINES ? lines(f, in, room, fn, arg) : counted(f, in, room, fn, arg);
        if (k < 0) {
            failed = (int)k;
            k = (ssize_t)in.n; /* of this piece nothing more: the line is cut here */
        }
        in.p += k;
        in.n -= (size_t)k;
    }
    return failed;
}

void framer_end(struct framer *f, framer_fn fn, void *arg)
{
    f->cut |= f->in_body;
    give_part(f, fn, arg);
}
