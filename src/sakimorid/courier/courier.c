/*
 * courier: brings one copy of the vault over the network up to date, or reads it back.  Started by the parent for one
 * copy and ended after it; sees the vault (reading only) and that copy's address and keys, and writes to no file.
 *
 * The work is done on a thread of its own, because a network makes it wait; the loop stays awake for brain, hands on what
 * the thread says, and has it end.  The two share `struct courier` under its lock; `cancel` alone is read without it.
 */
#include <errno.h>
#include <curl/curl.h>
#include <pthread.h>
#include <unistd.h>

#include "core/log.h"
#include "crypto/init.h"
#include "plat/proc.h"
#include "sakimorid/courier/courier.h"
#include "sakimorid/wire.h"
#include "vault/store/journal.h"

#define DAMAGED_TOLD 100 /* of one run */
#define QUEUE_MAX 128
#define LOOK_MS 100
#define PATH_BYTES 4700
#define SEAL_WAIT_S 30

static const struct courier_kind *const kinds[] = { &courier_s3, &courier_box };

const struct courier_kind *courier_kind(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (!strcmp(kinds[i]->name, name))
            return kinds[i];
    return NULL;
}

enum what { COPY, DEEP, VERIFY };
enum asking { NOTHING, ASK, ASKED, ANSWERED };

struct courier {
    struct child *c;
    char from[PATH_BYTES];
    struct sm_timer *look;
    pthread_t thread;
    bool started;                 /* there is a thread to join */
    atomic_bool cancel;
    /* what the run is: set before the thread begins */
    const struct courier_kind *kind;
    enum what what;
    struct journal_signed_head head;
    char label[COPY_LABEL_MAX];
    struct courier_job job;
    /* shared, under the lock */
    pthread_mutex_t lock;
    pthread_cond_t answered;
    uint64_t bytes, total;
    int last_percent;
    unsigned told;
    json_t *events[QUEUE_MAX]; size_t events_n;
    bool over, ending;            /* ending: the result is said, the thread is about to end */
    enum asking asking;
    uint64_t seal_number; uint8_t seal_digest[32], seal_sig[64];
    int seal_err;
};

static struct courier *courier_of(struct child *c)
{
    return c->state;
}

/* ---- what the thread says ---- */

static void queue(struct courier *k, const char *what, json_t *o)
{
    if (!o)
        return;
    json_object_set_new(o, "what", json_string(what));
    wire_hex(o, "copy", k->job.copy, 16);
    (void)pthread_mutex_lock(&k->lock); /* an ordinary one: cannot fail */
    k->ending |= !strcmp(what, "result");
    if (k->events_n < QUEUE_MAX)
        k->events[k->events_n++] = o;
    else
        json_decref(o);
    (void)pthread_mutex_unlock(&k->lock);
}

static void tell_damage(struct courier *k, const char *file, const char *why, bool original, bool other_good)
{
    if (k->told++ < DAMAGED_TOLD)
        queue(k, "damage", json_pack("{s:s,s:s,s:b,s:b}", "file", file, "why", why, "original", original, "copy_is_good",
            other_good));
}

static void on_damage(void *arg, const struct copy_damage *d)
{
    tell_damage(arg, d->file, d->why, true, d->copy_is_good);
}

static void on_unsound(void *arg, const char *file, const char *why)
{
    tell_damage(arg, file, why, false, false);
}

static void on_tell(void *arg, const char *what, json_t *o)
{
    queue(arg, what, o);
}

static void on_bytes(void *arg, uint64_t bytes, uint64_t total)
{
    struct courier *k = arg;
    (void)pthread_mutex_lock(&k->lock);
    k->bytes = bytes;
    k->total = total;
    (void)pthread_mutex_unlock(&k->lock);
}

static int on_progress(void *arg, const struct copy_progress *p)
{
    struct courier *k = arg;
    on_bytes(k, p->bytes, p->bytes_total);
    return atomic_load(&k->cancel);
}

/* The vault signs through brain; the thread waits for it. */
static int seal(void *arg, uint64_t number, const uint8_t digest[32], uint8_t ret_sig[64])
{
    struct courier *k = arg;
    struct timespec until;
    int r = 0;
    (void)clock_gettime(CLOCK_REALTIME, &until); /* always there */
    until.tv_sec += SEAL_WAIT_S;
    (void)pthread_mutex_lock(&k->lock);
    k->seal_number = number;
    memcpy(k->seal_digest, digest, 32);
    k->asking = ASK;
    while (k->asking != ANSWERED && !atomic_load(&k->cancel) && r == 0)
        r = pthread_cond_timedwait(&k->answered, &k->lock, &until);
    r = k->asking == ANSWERED ? k->seal_err : atomic_load(&k->cancel) ? -SM_ECANCEL : -SM_EPEER;
    if (!r)
        memcpy(ret_sig, k->seal_sig, 64);
    k->asking = NOTHING;
    (void)pthread_mutex_unlock(&k->lock);
    return r;
}

static void result(struct courier *k, void *target, int r, const char *why, json_t *o)
{
    const char *reason = k->kind->reason(target);
    if (!o)
        o = json_object();
    json_object_set_new(o, "phase", json_string(k->what == VERIFY ? "verify" : "copy"));
    json_object_set_new(o, "ok", json_boolean(r == 0));
    if (r < 0) {
        json_object_set_new(o, "error", json_string(sm_errname(r)));
        json_object_set_new(o, "why", json_string(why && *why ? why : sm_strerror(r)));
        if (reason && *reason)
            json_object_set_new(o, "reason", json_string(reason));
    }
    if (target)
        k->kind->facts(target, o);
    queue(k, "result", o);
}

/* ---- the work ---- */

static void do_copy(struct courier *k, void *target)
{
    struct copy *copy = NULL;
    struct copy_result res = { 0 };
    char why[COPY_WHY] = "";
    struct copy_args a = { .from = k->from, .target = k->kind->ops, .opened = target, .head = k->head,
        .deep = k->what == DEEP, .progress = on_progress, .damage = on_damage, .arg = k };
    memcpy(a.head_pub, k->job.head_pub, 32);
    int r = copy_new(&a, &copy, why);
    if (r < 0) {
        result(k, NULL, r, why, NULL); /* the target was taken */
        return;
    }
    do
        r = copy_step(copy);
    while (r == 1);
    copy_result(copy, &res);
    json_t *o = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:I}", "packs", (json_int_t)res.packs, "pack_bytes",
        (json_int_t)res.pack_bytes, "generations", (json_int_t)res.generations, "copied_packs",
        (json_int_t)res.copied_packs, "copied_bytes", (json_int_t)res.copied_bytes, "healed", (json_int_t)res.healed,
        "damaged", (json_int_t)res.damaged, "journal_mended", res.journal_mended, "seq", (json_int_t)res.head.seq);
    wire_hex(o, "hash", res.head.hash, 32);
    const char *said = k->kind->why(target);
    result(k, target, r, said && *said ? said : res.why, o);
    copy_free(copy);
}

static void do_verify(struct courier *k, void *target)
{
    void *state = NULL;
    int r;
    do
        r = atomic_load(&k->cancel) ? -SM_ECANCEL : k->kind->verify(target, &k->job, &state);
    while (r == 1);
    json_t *o = json_object();
    if (state)
        k->kind->verified(state, o);
    result(k, target, r, k->kind->why(target), o);
    (void)k->kind->verify(target, NULL, &state); /* frees it */
    k->kind->ops->close(target);
}

static void *work(void *arg)
{
    struct courier *k = arg;
    void *target = NULL;
    char why[COURIER_WHY] = "";
    int r = k->kind->open(&k->job, &target, why);
    if (r < 0) {
        result(k, target, r, why, NULL);
        if (target)
            k->kind->ops->close(target);
    } else if (k->what == VERIFY) {
        do_verify(k, target);
    } else {
        do_copy(k, target);
    }
    (void)pthread_mutex_lock(&k->lock);
    k->over = true;
    (void)pthread_mutex_unlock(&k->lock);
    return NULL;
}

/* ---- the loop's side ---- */

static void on_sealed(void *arg, int err, const struct sm_ipc_msg *m, const char *text)
{
    struct courier *k = arg;
    json_t *j = NULL;
    uint8_t sig[64];
    (void)text;
    int r = err < 0 ? err : msg_json(m->body, 1024, &j, NULL);
    struct sm_obj o = SM_OBJ(j);
    if (r >= 0) {
        sm_obj_hex(&o, "sig", sig, sizeof sig);
        r = o.err;
    }
    json_decref(j);
    (void)pthread_mutex_lock(&k->lock);
    if (k->asking == ASKED) {
        k->asking = ANSWERED;
        k->seal_err = r < 0 ? r : 0;
        if (r >= 0)
            memcpy(k->seal_sig, sig, sizeof sig);
        (void)pthread_cond_signal(&k->answered);
    }
    (void)pthread_mutex_unlock(&k->lock);
}

static void ask_seal(struct courier *k, uint64_t number, const uint8_t digest[32])
{
    json_t *o = json_object();
    wire_hex(o, "copy", k->job.copy, 16);
    wire_int(o, "number", number);
    wire_hex(o, "digest", digest, 32);
    int r = child_ask_json(k->c, WHO_BRAIN, N_SEAL, o, on_sealed, k, 0);
    json_decref(o);
    if (r < 0)
        on_sealed(k, r, NULL, NULL);
}

static void tell_progress(struct courier *k, uint64_t bytes, uint64_t total)
{
    int percent = total ? (int)(bytes * 100 / total) : 0;
    if (percent == k->last_percent)
        return;
    k->last_percent = percent;
    json_t *o = json_pack("{s:s,s:s,s:I,s:I}", "what", "progress", "phase", k->what == VERIFY ? "verify" : "copy", "bytes",
        (json_int_t)bytes, "bytes_total", (json_int_t)total);
    wire_hex(o, "copy", k->job.copy, 16);
    if (o)
        (void)child_notify_json(k->c, WHO_BRAIN, N_EVENT, o); /* brain gone: it ends this process when it is back */
    json_decref(o);
}

static void join(struct courier *k)
{
    if (k->started)
        (void)pthread_join(k->thread, NULL); /* our own thread */
    k->started = false;
}

static void on_look(void *arg)
{
    struct courier *k = arg;
    json_t *events[QUEUE_MAX];
    uint8_t digest[32];
    (void)pthread_mutex_lock(&k->lock);
    if (k->ending && !k->over) { /* brain may ask for the next run as soon as it has the result */
        (void)pthread_mutex_unlock(&k->lock);
        return;
    }
    size_t n = k->events_n;
    memcpy(events, k->events, n * sizeof *events);
    k->events_n = 0;
    uint64_t bytes = k->bytes, total = k->total, number = k->seal_number;
    memcpy(digest, k->seal_digest, 32);
    bool ask = k->asking == ASK, over = k->over;
    if (ask)
        k->asking = ASKED;
    (void)pthread_mutex_unlock(&k->lock);
    if (over) {
        join(k);
        sm_timer_stop(k->look);
    }
    tell_progress(k, bytes, total);
    for (size_t i = 0; i < n; i++) {
        (void)child_notify_json(k->c, WHO_BRAIN, N_EVENT, events[i]); /* as above */
        json_decref(events[i]);
    }
    if (ask)
        ask_seal(k, number, digest);
}

/* ---- requests ---- */

static int take_run(struct courier *k, struct sm_obj *o)
{
    uint8_t bytes[JOURNAL_SIGNED_HEAD_BYTES];
    const json_t *address = json_object_get(json_object_get(k->c->config, "job"), "address");
    const char *kind = sm_obj_str(o, "kind", 1, 16), *what = sm_obj_str(o, "what", 1, 16),
        *label = json_string_value(json_object_get(address, "label"));
    sm_obj_hex(o, "head", bytes, sizeof bytes);
    k->job = (struct courier_job){ .address = address, .label = k->label, .cancel = &k->cancel, .seal = seal,
        .damage = on_unsound, .progress = on_bytes, .tell = on_tell, .arg = k };
    sm_obj_hex(o, "copy", k->job.copy, 16);
    sm_obj_hex(o, "head_pub", k->job.head_pub, 32);
    k->job.lock_days = sm_obj_int_opt(o, "lock_days", 0, 36500, 0);
    k->job.read_bytes = sm_obj_int_opt(o, "read_bytes", 0, INT64_MAX, 0);
    if (o->err)
        return o->err;
    const char *stored = json_string_value(json_object_get(address, "kind"));
    k->kind = courier_kind(kind);
    if (!k->kind || !stored || strcmp(stored, kind) != 0 || !label || strlen(label) >= sizeof k->label)
        return -SM_EUNSUPPORTED;
    (void)snprintf(k->label, sizeof k->label, "%s", label); /* measured */
    k->what = !strcmp(what, "verify") ? VERIFY : !strcmp(what, "deep") ? DEEP : COPY;
    int r = journal_head_get(SM_SPAN(bytes, sizeof bytes), &k->head);
    if (!r)
        memcpy(k->job.vault.b, k->head.vault, 16);
    return r;
}

static void on_run(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct courier *k = courier_of(c);
    json_t *in = wire_body(ipc, m);
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    int r = k->started ? -SM_ESTATE : take_run(k, &o);
    if (!r) {
        atomic_store(&k->cancel, false);
        k->told = 0;
        k->last_percent = -1;
        k->bytes = k->total = 0;
        k->over = k->ending = false;
        k->asking = NOTHING;
        r = -pthread_create(&k->thread, NULL, work, k);
        k->started = r == 0;
    }
    if (!r)
        sm_timer_set(k->look, LOOK_MS, LOOK_MS);
    wire_answer(ipc, m, r ? NULL : json_object(), r, o.err ? o.why : NULL);
    json_decref(in);
}

static void cancel(struct courier *k)
{
    atomic_store(&k->cancel, true);
    (void)pthread_mutex_lock(&k->lock);
    (void)pthread_cond_signal(&k->answered);
    (void)pthread_mutex_unlock(&k->lock);
}

static void on_cancel(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    cancel(courier_of(c));
    wire_answer(ipc, m, json_object(), 0, NULL);
}

/* ---- life ---- */

static int courier_start(struct child *c)
{
    struct courier *k = courier_of(c);
    /* It may read past the owner's rights; only Landlock keeps that to the vault. */
    if (c->confined.uid && !c->confined.landlock) {
        child_fatal(c, "this kernel has no Landlock: copies are not made");
        return -SM_EUNSUPPORTED;
    }
    int n = snprintf(k->from, sizeof k->from, "%s/vault", c->data);
    if (n < 0 || (size_t)n >= sizeof k->from)
        return -SM_ELIMIT;
    plat_proc_background();
    int r = crypto_init();
    if (!r && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        r = -ENOMEM;
    if (!r)
        r = sm_loop_timer(c->loop, UINT64_MAX, 0, on_look, k, &k->look);
    return r;
}

static void courier_stop(struct child *c)
{
    cancel(courier_of(c)); /* transfers look at it several times a second */
    child_done(c);
}

static void courier_end(struct child *c)
{
    struct courier *k = courier_of(c);
    cancel(k);
    join(k);
    for (size_t i = 0; i < k->events_n; i++)
        json_decref(k->events[i]);
    sm_timer_free(k->look);
    curl_global_cleanup();
}

static const struct child_handler handlers[] = {
    { WHO_BRAIN, N_RUN, on_run },
    { WHO_BRAIN, N_CANCEL, on_cancel },
};

int courier_main(struct child *c)
{
    struct courier k = { .c = c, .lock = PTHREAD_MUTEX_INITIALIZER, .answered = PTHREAD_COND_INITIALIZER };
    const struct child_spec spec = { .handlers = handlers,
        .handlers_n = sizeof handlers / sizeof handlers[0],
        .start = courier_start,
        .stop = courier_stop,
        .end = courier_end };
    c->state = &k;
    return child_run(c, &spec);
}
