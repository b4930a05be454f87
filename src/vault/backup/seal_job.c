#include <errno.h>
#include "vault/backup/run_internal.h"

/* Of equal chunks in one go each is sealed: the pack takes the first. */
static int jobs_seal(struct run *r, struct seal_ctx *ctx, struct event **job, const struct chunk_hash *h, size_t n)
{
    struct chunk_work work[PIPE_JOBS];
    size_t k = 0;
    int e = 0;
    for (size_t i = 0; e == 0 && i < n; i++) {
        if (job[i]->known)
            continue;
        job[i]->sealed = malloc(job[i]->plain.n + CHUNK_OVERHEAD);
        e = job[i]->sealed ? 0 : -ENOMEM;
        work[k++] = (struct chunk_work){ .type = job[i]->type, .how = job[i]->how, .plain = job[i]->plain, .hash = &h[i],
            .to = job[i]->sealed };
    }
    if (e == 0)
        e = chunk_seal_many(ctx, &r->keys, work, k);
    k = 0;
    for (size_t i = 0; e == 0 && i < n; i++) {
        if (job[i]->known)
            continue;
        job[i]->info = work[k].info;
        job[i]->sealed_n = work[k++].n;
        uint8_t *less = realloc(job[i]->sealed, job[i]->sealed_n); /* what compression saved is free again */
        job[i]->sealed = less ? less : job[i]->sealed;
    }
    sm_zero(work, sizeof work);
    return e;
}

int run_seal_jobs(void *arg, struct seal_ctx *ctx, struct event **job, size_t n)
{
    struct run *r = arg;
    struct chunk_hash h[PIPE_JOBS];
    struct chunk_work plain[PIPE_JOBS] = { { 0 } };
    for (size_t i = 0; i < n; i++)
        plain[i] = (struct chunk_work){ .plain = job[i]->plain };
    int e = chunk_hash_many(ctx, plain, n, h);
    for (size_t i = 0; e == 0 && i < n; i++) {
        struct event *j = job[i];
        chunk_look(&r->keys, j->type, &h[i], j->look);
        j->known = run_known(r, j->look, &j->info.cid);
        if (j->known)
            chunk_keys(&r->keys, j->type, &h[i], &j->info.ck, NULL);
    }
    if (e == 0)
        e = jobs_seal(r, ctx, job, h, n);
    sm_zero(h, sizeof h);
    return e;
}
