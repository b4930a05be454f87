#include <errno.h>
#include "vault/backup/run_internal.h"

/* Does the box have it?  Then its key is all that is needed. */
static void look_up(struct run *r, struct event *job, const struct chunk_hash *h)
{
    chunk_look(&r->keys, job->type, h, job->look);
    job->known = run_known(r, job->look, &job->info.cid);
    if (job->known)
        chunk_keys(&r->keys, job->type, h, &job->info.ck, NULL);
}

static int keep_sealed(struct event *job, const struct sm_buf *sealed)
{
    job->sealed = malloc(sealed->n);
    if (!job->sealed)
        return -ENOMEM;
    memcpy(job->sealed, sealed->p, sealed->n);
    job->sealed_n = sealed->n;
    return 0;
}

static int seal_alone(struct run *r, struct seal_ctx *ctx, struct sm_buf *scratch, struct event *job,
    const struct chunk_hash *h)
{
    sm_buf_clear(scratch);
    int e = chunk_seal(ctx, &r->keys, job->type, job->plain, h, job->how, &job->info, scratch);
    return e < 0 ? e : keep_sealed(job, scratch);
}

static int seal_both(struct run *r, struct seal_ctx *ctx, struct sm_buf scratch[2], struct event *const job[2],
    const struct chunk_hash h[2])
{
    struct chunk_job pair[2];
    for (unsigned i = 0; i < 2; i++) {
        sm_buf_clear(&scratch[i]);
        pair[i] = (struct chunk_job){ .type = job[i]->type, .plain = job[i]->plain, .h = h[i], .how = job[i]->how,
            .sealed = &scratch[i] };
    }
    int e = chunk_seal_pair(ctx, &r->keys, pair);
    for (unsigned i = 0; i < 2 && e == 0; i++) {
        job[i]->info = pair[i].info;
        e = keep_sealed(job[i], &scratch[i]);
    }
    sm_zero(pair, sizeof pair);
    return e;
}

int run_seal_jobs(void *arg, struct seal_ctx *ctx, struct sm_buf scratch[PIPE_TOGETHER], struct event *const *job, size_t n)
{
    struct run *r = arg;
    struct chunk_hash h[2];
    _Static_assert(PIPE_TOGETHER == 2, "hashes are made by twos");
    if (n == 2)
        chunk_hash_pair(job[0]->plain, job[1]->plain, &h[0], &h[1]);
    else
        chunk_hash(job[0]->plain, &h[0]);
    for (size_t i = 0; i < n; i++)
        look_up(r, job[i], &h[i]);
    int e = 0;
    if (n == 2 && !job[0]->known && !job[1]->known)
        e = seal_both(r, ctx, scratch, job, h);
    else
        for (size_t i = 0; i < n && e == 0; i++)
            e = job[i]->known ? 0 : seal_alone(r, ctx, &scratch[i], job[i], &h[i]);
    sm_zero(h, sizeof h);
    return e;
}
