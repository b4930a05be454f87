/* Sealed objects out, to whoever holds a grant of brain: streams with back-pressure, in the order asked. */
#include "sakimorid/vault/vaultd.h"

#include <errno.h>

#include "plat/clock.h"

static struct grant *find(struct vaultd *v, const uint8_t id[16])
{
    for (size_t i = 0; i < VAULTD_GRANTS_MAX; i++)
        if (v->grants[i].used && memcmp(v->grants[i].id, id, 16) == 0)
            return &v->grants[i];
    return NULL;
}

void objects_grant(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct vaultd *v = vaultd_of(c);
    json_t *in = wire_body(ipc, m);
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    struct grant g = {.used = true};
    sm_obj_hex(&o, "grant", g.id, 16);
    sm_obj_hex(&o, "client", g.client.b, 16);
    g.until_s = sm_obj_int(&o, "until_s", 0, INT64_MAX);
    int64_t now = plat_clock_wall().s;
    struct grant *to = o.err ? NULL : find(v, g.id);
    for (size_t i = 0; i < VAULTD_GRANTS_MAX && !to && !o.err; i++)
        if (!v->grants[i].used || v->grants[i].until_s < now)
            to = &v->grants[i];
    if (to)
        *to = g;
    wire_answer(ipc, m, to ? json_object() : NULL, o.err ? o.err : to ? 0 : -SM_ELIMIT, o.why);
    json_decref(in);
}

void objects_ungrant(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    json_t *in = wire_body(ipc, m);
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    uint8_t id[16];
    sm_obj_hex(&o, "grant", id, 16);
    struct grant *g = o.err ? NULL : find(vaultd_of(c), id);
    if (g)
        g->used = false;
    wire_answer(ipc, m, json_object(), o.err, o.why);
    json_decref(in);
}

/* One buffer is kept for the next request: one that grows anew is copied each time.  Sealed bytes: nothing to wipe. */
static void job_free(struct vaultd *v, struct objects_job *j)
{
    uint8_t *other = v->spare_out.cap < j->out.cap ? v->spare_out.p : j->out.p;
    if (other != j->out.p)
        v->spare_out = j->out;
    free(other);
    free(j->cids);
    free(j);
}

/* Fill the job's buffer with at least a frame, unless it is at its end. */
static int job_fill(struct vaultd *v, struct objects_job *j)
{
    struct store_got got[STORE_OBJECTS_MAX];
    int r = 0;
    if (j->i < j->n && j->out.n - j->sent < VAULTD_FRAME) { /* less than a frame is left to be moved */
        sm_buf_shift(&j->out, j->sent);
        j->sent = 0;
    }
    while (!r && j->i < j->n && j->out.n - j->sent < VAULTD_FRAME) {
        size_t n = 0;
        r = store_objects(v->store, &j->client, j->cids + j->i, j->n - j->i, v->many, 4, VAULTD_READ, &j->out, got, &n);
        for (size_t i = 0; i < n; i++) {
            uint32_t length = got[i].err ? 0xffffffffu : (uint32_t)got[i].n;
            for (unsigned b = 0; b < 4; b++)
                j->out.p[got[i].at - 4 + b] = (uint8_t)(length >> 8 * b);
            if (got[i].err == -SM_ECORRUPT) {
                struct store_damage d = {.what = "object", .object = &j->cids[j->i + i], .found_by = "read"};
                vaultd_after(v, store_damage(v->store, &d));
            }
        }
        j->i += n;
    }
    return r;
}

/* Send what the channel takes.  1 = finished (or hopeless), 0 = wait for the queue to drain. */
static int job_go(struct vaultd *v, struct objects_job *j)
{
    for (;;) {
        int r = job_fill(v, j);
        if (r) {
            child_reply_late_error(v->c, &j->late, r, sm_strerror(r));
            return 1;
        }
        size_t left = j->out.n - j->sent, n = left < VAULTD_FRAME ? left : VAULTD_FRAME;
        bool last = j->i == j->n && n == left;
        r = child_reply_late(v->c, &j->late, last ? 0 : SM_IPC_MORE, SM_SPAN(j->out.p + j->sent, n));
        if (r == -SM_EAGAIN)
            return 0;
        if (r || last)
            return 1;
        j->sent += n;
    }
}

void objects_pump(void *arg)
{
    struct vaultd *v = arg;
    struct objects_job **at = &v->jobs;
    while (*at) {
        struct objects_job *j = *at;
        if (!job_go(v, j)) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        v->jobs_n--;
        job_free(v, j);
    }
}

void objects_forget(struct vaultd *v, unsigned peer)
{
    struct objects_job **at = &v->jobs;
    while (*at) {
        struct objects_job *j = *at;
        if (j->late.peer != peer) {
            at = &j->next;
            continue;
        }
        *at = j->next;
        v->jobs_n--;
        job_free(v, j);
    }
}

static int ask(struct vaultd *v, json_t *in, struct sm_span raw, struct client_id *ret_client, char *why)
{
    struct sm_obj o = SM_OBJ(in);
    uint8_t id[16];
    sm_obj_hex(&o, "grant", id, 16);
    snprintf(why, 160, "%s", o.why);
    if (o.err)
        return o.err;
    struct grant *g = find(v, id);
    if (!g || g->until_s < plat_clock_wall().s)
        return -SM_EDENIED;
    if (raw.n % 32 || raw.n == 0 || raw.n / 32 > VAULTD_OBJECTS_MAX)
        return -SM_EINVAL;
    *ret_client = g->client;
    return v->jobs_n < VAULTD_JOBS_MAX ? 0 : -SM_EAGAIN;
}

void objects_ask(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct vaultd *v = vaultd_of(c);
    json_t *in = NULL;
    struct sm_span raw;
    struct client_id client;
    char why[160] = "";
    if (!vaultd_store(v, ipc, m))
        return;
    int r = msg_split(m->body, 4096, &in, &raw, why);
    if (!r)
        r = ask(v, in, raw, &client, why);
    struct objects_job *j = r ? NULL : calloc(1, sizeof *j);
    if (!r && j)
        j->cids = malloc(raw.n);
    if (!r && (!j || !j->cids)) {
        free(j);
        r = -ENOMEM;
    }
    json_decref(in);
    if (r) {
        child_reply_error(ipc, m, r, why[0] ? why : sm_strerror(r));
        return;
    }
    memcpy(j->cids, raw.p, raw.n);
    j->n = raw.n / 32;
    j->client = client;
    j->late = child_later(c, peer, m);
    j->out = v->spare_out;
    v->spare_out = (struct sm_buf){0};
    sm_buf_clear(&j->out);
    j->out.max = OBJ_SEALED_MAX + VAULTD_READ + 2 * VAULTD_FRAME;
    /* At the end of the list: the older request is served first. */
    struct objects_job **at = &v->jobs;
    while (*at)
        at = &(*at)->next;
    *at = j;
    v->jobs_n++;
    child_on_drained(c, peer, objects_pump, v);
    objects_pump(v);
}
