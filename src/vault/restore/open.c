#include <errno.h>
#include "vault/restore/restore_internal.h"

#define STEP 64u /* objects a call: the walker gets its pages in between */

struct opening { struct restore *r; struct batch *b; struct seal_ctx *ctx; size_t first; };

static void on_object(void *arg, size_t i, int err, struct sm_span sealed)
{
    struct opening *o = arg;
    struct batch_chunk *c = &o->b->chunk[o->first + i];
    size_t at = o->b->plain.n;
    if (err == 0 && !o->r->source->names_checked)
        err = obj_name_check(sealed, &c->cid);
    if (err == 0)
        err = chunk_open(o->ctx, sealed, &o->r->client, &c->ck, &o->b->plain);
    c->err = err;
    c->plain_at = at;
    c->plain_n = o->b->plain.n - at;
}

static int batch_open(struct restore *r, struct batch *b, struct seal_ctx *ctx)
{
    struct cid cid[STEP];
    int e = 0;
    for (size_t at = 0; e == 0 && at < b->chunks; at += STEP) {
        struct opening o = { .r = r, .b = b, .ctx = ctx, .first = at };
        size_t n = b->chunks - at < STEP ? b->chunks - at : STEP;
        for (size_t i = 0; i < n; i++) {
            cid[i] = b->chunk[at + i].cid;
            b->chunk[at + i].err = -SM_EMISSING;
        }
        pthread_mutex_lock(&r->source_lock);
        e = r->source->get_many(r->source->arg, cid, n, on_object, &o);
        pthread_mutex_unlock(&r->source_lock);
    }
    for (size_t i = 0; i < b->chunks; i++)
        sm_zero(&b->chunk[i].ck, sizeof b->chunk[i].ck);
    return e;
}

void *open_thread(void *arg)
{
    struct restore *r = arg;
    struct seal_ctx *ctx = NULL;
    struct batch *b;
    bool last = false;
    int e = seal_ctx_new(&ctx);
    while (e == 0 && !last && (b = ring_get(r, STAGE_OPEN))) {
        e = batch_open(r, b, ctx);
        last = b->last;
        if (e == 0)
            ring_done(r, STAGE_OPEN);
    }
    if (e < 0)
        restore_fail(r, e);
    seal_ctx_free(ctx);
    return NULL;
}
