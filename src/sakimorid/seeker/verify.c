/* The whole record against its hashes and seals: on a thread, so that searches go on meanwhile. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "core/log.h"
#include "journal/verify.h"
#include "sakimorid/seeker/seeker.h"
#include "sakimorid/wire.h"

enum { FINDINGS_MAX = 200 };

struct verifying {
    char dir[4200];
    uint8_t key[CRYPTO_SIGN_PUBLIC_LEN];
    bool has_key, began;
    uint32_t share, of;
    pthread_t thread;
    atomic_bool running, stop;
    atomic_uint_fast64_t done, all;
    /* Written by the thread, read when it does not run. */
    struct evverify_summary sum;
    struct evverify_finding found[FINDINGS_MAX];
    size_t found_n;
    int result;
};

static bool stopped(void *arg)
{
    struct verifying *v = arg;

    return atomic_load(&v->stop);
}

static void on_progress(void *arg, uint64_t done, uint64_t all)
{
    struct verifying *v = arg;

    atomic_store(&v->done, done);
    atomic_store(&v->all, all);
}

static int on_finding(void *arg, const struct evverify_finding *f)
{
    struct verifying *v = arg;

    if (v->found_n < FINDINGS_MAX)
        v->found[v->found_n++] = *f;
    return 0;
}

static void *work(void *arg)
{
    struct verifying *v = arg;
    const struct evverify how = { .key = v->has_key ? v->key : NULL, .progress = on_progress, .cancel = stopped, .arg = v,
        .share = v->share, .of = v->of };

    v->result = evidence_verify(v->dir, &how, on_finding, v, &v->sum);
    atomic_store(&v->running, false);
    return NULL;
}

struct verifying *verifying_new(const char *dir)
{
    struct verifying *v = calloc(1, sizeof *v);

    if (v)
        snprintf(v->dir, sizeof v->dir, "%s", dir);
    return v;
}

void verifying_free(struct verifying *v)
{
    if (!v)
        return;
    atomic_store(&v->stop, true);
    if (v->began)
        (void)pthread_join(v->thread, NULL); /* it was made and not joined */
    free(v);
}

static int begin(struct verifying *v, struct sm_obj *o)
{
    const char *key = sm_obj_str_opt(o, "key", 64);

    if (atomic_load(&v->running))
        return 0;
    if (v->began)
        (void)pthread_join(v->thread, NULL); /* it was made and not joined */
    v->began = false;
    v->of = (uint32_t)sm_obj_int_opt(o, "of", 0, 1000, 0);
    v->share = (uint32_t)sm_obj_int_opt(o, "share", 0, 1000, 0);
    v->has_key = key && *key;
    if (v->has_key && sm_unhex(key, strlen(key), v->key, sizeof v->key) < 0)
        return -SM_EINVAL;
    v->found_n = 0;
    v->sum = (struct evverify_summary){ 0 };
    atomic_store(&v->done, 0);
    atomic_store(&v->all, 0);
    atomic_store(&v->running, true);
    int r = pthread_create(&v->thread, NULL, work, v);
    if (r != 0)
        atomic_store(&v->running, false);
    v->began = r == 0;
    return -r;
}

static json_t *findings(const struct verifying *v)
{
    json_t *list = json_array();

    for (size_t i = 0; list && i < v->found_n; i++) {
        const struct evverify_finding *f = &v->found[i];
        (void)json_array_append_new(list, json_pack("{ss sb ss ss sI sI ss sI ss}", "kind", evverify_word(f->kind), "fault",
            f->kind < EVVERIFY_FAULTS, "ja", evverify_text(f->kind, true), "en", evverify_text(f->kind, false), "block",
            (json_int_t)f->block, "until", (json_int_t)f->until, "file", f->file, "offset", (json_int_t)f->offset, "column",
            f->column)); /* one less when memory is short */
    }
    return list;
}

static json_t *told(const struct verifying *v)
{
    const struct evverify_summary *s = &v->sum;
    char head[96] = "";

    if (atomic_load(&v->running))
        return json_pack("{sb sI sI}", "running", 1, "done_bytes", (json_int_t)atomic_load(&v->done), "all_bytes", (json_int_t)atomic_load(&v->all));
    if (!v->began)
        return json_pack("{sb}", "running", 0);
    if (s->any)
        evverify_head_text(&s->head, head);
    return json_pack("{sb sb sI sI ss sI sI sI sI sI sI sI sI sb ss so}", "running", 0, "ok", v->result == 0 && !s->faults, "of", (json_int_t)v->of, "boxes", (json_int_t)s->boxes, "error",
        v->result < 0 ? sm_strerror(v->result) : "", "segments", (json_int_t)s->segments, "blocks", (json_int_t)s->blocks, "events",
        (json_int_t)s->events, "bytes", (json_int_t)s->bytes, "sealed_block", (json_int_t)s->sealed_block, "faults",
        (json_int_t)s->faults, "not_sealed", (json_int_t)(s->unsealed_events + s->open_events), "not_in_a_block",
        (json_int_t)s->open_events, "has_key", s->has_key, "head", head, "findings", findings(v));
}

void verifying_on(struct verifying *v, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    json_t *in = wire_body(ipc, m);
    struct sm_obj o = SM_OBJ(in);
    int r = 0;

    if (!in)
        return;
    if (json_is_true(json_object_get(in, "start")))
        r = begin(v, &o);
    wire_answer(ipc, m, r < 0 ? NULL : told(v), r, NULL);
    json_decref(in);
}
