/* RFC 6587: however the bytes are cut into pieces, the messages are the same, and none is longer than it may be. */
#include <stdlib.h>
#include <string.h>
#include "sakimorid/collector/framing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { MAX = 300 };
struct sum { uint64_t hash, bytes, n; };

static void on_message(void *arg, struct sm_span m, bool cut)
{
    struct sum *s = arg;

    if (!m.n || m.n > MAX)
        abort();
    s->hash = s->hash * 31 + m.n * 2 + cut;
    for (size_t i = 0; i < m.n; i++)
        s->hash = (s->hash ^ m.p[i]) * 0x100000001b3u;
    s->n++;
    s->bytes += m.n;
}

static struct sum whole(const uint8_t *data, size_t n, size_t piece)
{
    struct framer f;
    struct sum s = { 0 };

    framer_init(&f, MAX);
    for (size_t at = 0; at < n; at += piece) {
        size_t k = n - at < piece ? n - at : piece;
        uint8_t *copy = malloc(k);
        if (!copy)
            abort();
        memcpy(copy, data + at, k);
        if (framer_feed(&f, SM_SPAN(copy, k), MAX, on_message, &s) < 0)
            abort();
        free(copy);
    }
    framer_end(&f, on_message, &s);
    if (framer_has_part(&f) || s.bytes > n)
        abort();
    framer_wipe(&f);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t pieces[] = { n ? n : 1, 1, 7, 64 };
    struct sum first = whole(data, n, pieces[0]);

    for (size_t i = 1; i < sizeof pieces / sizeof pieces[0]; i++) {
        struct sum s = whole(data, n, pieces[i]);
        if (s.n != first.n || s.hash != first.hash)
            abort();
    }
    return 0;
}
