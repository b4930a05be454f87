/*
 * The openers: each takes the next batch, fetches its objects and opens them.  There are three, so that two fetch while
 * the third opens; batches go on in their order.
 */
#include <errno.h>
#include "vault/restore/restore_internal.h"

#define STEP 128u /* objects a call: the walker gets its pages in between */

struct fetched { int err; size_t at; struct sm_span sealed; };
/* sealed: copies, where the source does not hold. */
struct opening { struct sm_buf sealed; struct fetched got[STEP]; struct seal_ctx *ctx; };

static void on_copied(void *arg, size_t i, int err, struct sm_span sealed)
{
    struct opening *o = arg;
    o->got[i] = (struct fetched){ .err = err, .at = o->sealed.n, .sealed = sealed };
    if (err == 0 && sm_buf_put_span(&o->sealed, sealed) < 0)
        o->got[i].err = -ENOMEM;
}

static void on_held(void *arg, size_t i, int err, struct sm_span sealed)
{
    struct opening *o = arg;
    o->got[i] = (struct fetched){ .err = err, .sealed = sealed };
}

static int fetch(struct restore *r, struct opening *o, const struct cid *cids, size_t n, void **ret_held)
{
    if (r->source->get_held)
        return r->source->get_held(r->source->arg, cids, n, on_held, o, ret_held);
    sm_buf_clear(&o->sealed);
    int e = restore_get(r, cids, n, on_copied, o);
    for (size_t i = 0; e == 0 && i < n; i++)
        o->got[i].sealed.p = o->sealed.p + o->got[i].at; /* it has grown since */
    return e;
}

static void chunk_take(struct restore *r, struct batch *b, struct batch_chunk *c, struct opening *o,
    const struct fetched *f)
{
    size_t at = b->plain.n;
    int err = f->err;
    if (err == 0)
        err = chunk_open(o->ctx, f->sealed, &r->client, &c->ck, &b->plain);
    c->err = err;
    c->plain_at = at;
    c->plain_n = b->plain.n - at;
    sm_zero(&c->ck, sizeof c->ck);
}

static int names_check(struct restore *r, const struct batch_chunk *c, size_t n, struct opening *o)
{
    struct obj_named named[STEP];
    size_t which[STEP], k = 0;
    for (size_t i = 0; i < n && !r->source->names_checked; i++) {
        if (o->got[i].err)
            continue;
        named[k] = (struct obj_named){ .sealed = o->got[i].sealed, .name = &c[i].cid };
        which[k++] = i;
    }
    int e = k ? obj_names_check(o->ctx, named, k) : 0;
    for (size_t i = 0; e == 0 && i < k; i++)
        if (!named[i].same)
            o->got[which[i]].err = -SM_ECORRUPT;
    return e;
}

static int batch_open(struct restore *r, struct batch *b, struct opening *o)
{
    struct cid cid[STEP];
    /* At once: what grows is copied and wiped. */
    int e = b->chunks ? sm_buf_reserve(&b->plain, RESTORE_BATCH_BYTES) : 0;
    for (size_t at = 0; e == 0 && at < b->chunks; at += STEP) {
        size_t n = b->chunks - at < STEP ? b->chunks - at : STEP;
        for (size_t i = 0; i < n; i++) {
            cid[i] = b->chunk[at + i].cid;
            o->got[i] = (struct fetched){ .err = -SM_EMISSING };
        }
        void *held = NULL;
        e = fetch(r, o, cid, n, &held);
        bool holds = e == 0 && r->source->get_held;
        if (e == 0)
            e = names_check(r, &b->chunk[at], n, o);
        for (size_t i = 0; e == 0 && i < n; i++)
            chunk_take(r, b, &b->chunk[at + i], o, &o->got[i]);
        if (holds)
            r->source->release(r->source->arg, held);
    }
    return e;
}

void *open_thread(void *arg)
{
    struct restore *r = arg;
    struct opening *o = calloc(1, sizeof *o);
    struct batch *b;
    int e = o ? seal_ctx_new(&o->ctx) : -ENOMEM;
    if (o)
        o->sealed.max = RESTORE_SEALED_MAX;
    while (e == 0 && (b = ring_take_open(r))) {
        e = batch_open(r, b, o);
        if (e == 0)
            ring_done_open(r, b);
    }
    if (e < 0)
        restore_fail(r, e);
    if (o) {
        seal_ctx_free(o->ctx);
        sm_buf_wipe(&o->sealed);
    }
    free(o);
    return NULL;
}
