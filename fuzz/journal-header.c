/* The header of a block whose hash somebody made fit, over a body of any bytes: nothing of it is believed. */
#include <stdint.h>
#include <stdlib.h>

#include "crypto/hash.h"
#include "journal/internal.h"
#include "journal/query.h"

struct body { const uint8_t *p; size_t n; };

static int read_body(void *arg, uint64_t off, size_t n, void *to)
{
    const struct body *b = arg;

    if (off > b->n || n > b->n - off)
        return -SM_EPARTIAL;
    memcpy(to, b->p + off, n);
    return 0;
}

/* Hashes of columns made right, so that what is behind them is reached. */
static void make_fit(struct ev_block *b, const struct body *body)
{
    for (size_t i = 0; i < b->head.columns; i++) {
        struct ev_column *c = &b->head.column[i];
        uint64_t n = c->values_stored + c->index_stored;
        if (c->at <= body->n && n <= body->n - c->at)
            crypto_sha256(SM_SPAN(body->p + c->at, n), c->hash);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct event_names *names;
    static struct event e;
    static struct evquery *query;
    struct sm_buf header = SM_BUF_INIT(EV_HEADER_MAX), raw = SM_BUF_INIT(8 << 20);
    static uint64_t bits[EVIDENCE_BLOCK_EVENTS_MAX / 64];
    struct ev_block b;
    struct ev_row row;

    if (!names) {
        names = event_names_new();
        if (!names || event_init(&e) < 0 || evquery_parse(SM_SPAN_STR("a OR raw:b OR @source:1"), 0, &query, NULL) < 0)
            abort();
    }
    if (size < 2)
        return 0;
    size_t n = (size_t)data[0] | (size_t)data[1] << 8;
    n = n < size - 2 ? n : size - 2;
    struct body body = { data + 2 + n, size - 2 - n };
    if (sm_buf_put(&header, data + 2, n) >= 0 && ev_block_init(&b, &header, read_body, &body) >= 0) {
        make_fit(&b, &body);
        for (uint32_t i = 0; i < b.head.events && i < 20; i++)
            (void)ev_block_event(&b, i, names, &e, &raw, &row);
        (void)q_match(query, &b, bits);
        ev_block_wipe(&b);
    }
    sm_buf_wipe(&header);
    sm_buf_wipe(&raw);
    return 0;
}
