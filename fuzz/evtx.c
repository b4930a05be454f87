/* Event logs: as a span and through a reader they give the same, also with what stands behind the stated ends. */
#include <stdlib.h>
#include <string.h>
#include "normalise/evtx.h"

struct file { const uint8_t *p; size_t n; };

static int64_t piece(void *ctx, uint64_t at, void *to, size_t n)
{
    const struct file *f = ctx;

    if (at >= f->n)
        return 0;
    n = n < f->n - at ? n : f->n - (size_t)at;
    n = n > 40000 ? 40000 : n; /* in several goes */
    memcpy(to, f->p + at, n);
    return (int64_t)n;
}

static void must(bool ok)
{
    if (!ok)
        abort();
}

/* Everything that came out, as one number. */
static uint64_t all(struct evtx *x, struct event *e)
{
    struct sm_buf xml = SM_BUF_INIT(1 << 20);
    uint64_t h = 0;
    int r;

    while ((r = evtx_next(x, e)) > 0) {
        must(e->n > 0 && e->raw.n > 0 && e->time.ns < 1000000000);
        for (size_t i = 0; i < e->n; i++) {
            struct sm_span v = event_value(&e->fields[i]);
            must(sm_utf8_valid(v));
            h = h * 31 + e->fields[i].name;
            for (size_t k = 0; k < v.n; k++)
                h = h * 31 + v.p[k];
        }
        xml.n = 0;
        r = evtx_xml(x, &xml);
        must(r == 0 || r == -SM_ELIMIT);
        must(sm_utf8_valid(sm_buf_span(&xml)));
    }
    must(r == 0);
    const struct evtx_counts *c = evtx_counts(x);
    must(c->damaged <= c->records && c->bad_chunks <= c->chunks);
    sm_buf_wipe(&xml);
    return h * 31 + c->records * 7 + c->lost;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct event_names *names;
    struct event e = { 0 };
    struct evtx *x = NULL;
    struct file f = { data, size };
    struct evtx_reader reader = { piece, &f, size };

    names = names ? names : event_names_new();
    must(names && event_init(&e) == 0 && evtx_new(names, &x) == 0);
    for (uint32_t flags = 0; flags <= EVTX_SLACK; flags++) {
        int a = evtx_open(x, SM_SPAN(data, size), flags);
        must(a == 0 || a == -SM_EFORMAT);
        uint64_t one = a ? 0 : all(x, &e);
        must(evtx_open_reader(x, &reader, flags) == a);
        must(a || all(x, &e) == one);
    }
    evtx_free(x);
    event_wipe(&e);
    return 0;
}
