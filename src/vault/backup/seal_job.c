#include <errno.h>
#include "vault/backup/run_internal.h"

int run_seal_job(void *arg, struct seal_ctx *ctx, struct sm_buf *scratch, struct event *job)
{
    struct run *r = arg;
    struct chunk_hash h;
    chunk_hash(job->plain, &h);
    chunk_look(&r->keys, job->type, &h, job->look);
    job->known = run_known(r, job->look, &job->info.cid);
    int e = 0;
    if (job->known) {
        chunk_keys(&r->keys, job->type, &h, &job->info.ck, NULL);
    } else {
        sm_buf_clear(scratch);
        e = chunk_seal(ctx, &r->keys, job->type, job->plain, &h, job->how, &job->info, scratch);
    }
    sm_zero(&h, sizeof h);
    if (e < 0 || job->known)
        return e;
    job->sealed = malloc(scratch->n);
    if (!job->sealed)
        return -ENOMEM;
    memcpy(job->sealed, scratch->p, scratch->n);
    job->sealed_n = scratch->n;
    return 0;
}
