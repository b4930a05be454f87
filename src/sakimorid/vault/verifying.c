/* Verify in the background: a step a turn of the loop, so that uploads and restores go on. */
#include "sakimorid/vault/vaultd.h"

static const char *kind_name(enum verify_kind k)
{
    return k == VERIFY_DATA ? "data" : "structure";
}

static json_t *progress_json(const struct vaultd *v)
{
    const struct verify_progress *p = &v->progress;
    json_t *o = json_object();
    json_object_set_new(o, "kind", json_string(kind_name(v->verify_kind)));
    json_object_set_new(o, "phase", json_string(kind_name(p->phase)));
    wire_int(o, "packs", p->packs);
    wire_int(o, "packs_total", p->packs_total);
    wire_int(o, "bytes", p->bytes);
    wire_int(o, "bytes_total", p->bytes_total && p->bytes > p->bytes_total ? p->bytes : p->bytes_total);
    wire_int(o, "generations", p->generations);
    wire_int(o, "generations_total", p->generations_total);
    wire_int(o, "damaged", p->damaged);
    return o;
}

json_t *verifying_now(struct vaultd *v)
{
    return v->verify ? progress_json(v) : NULL;
}

static int on_progress(void *arg, const struct verify_progress *p)
{
    struct vaultd *v = arg;
    v->progress = *p;
    return v->cancel ? -SM_ECANCEL : 0;
}

static json_t *damage_json(const struct verify_damage *d)
{
    json_t *o = json_object();
    json_object_set_new(o, "kind", json_string(verify_what_name(d->what)));
    json_object_set_new(o, "file", json_string(d->file));
    wire_int(o, "offset", d->offset);
    if (d->has_object)
        wire_hex(o, "object", d->object.b, 32);
    json_object_set_new(o, "why", json_string(d->why));
    return o;
}

static void on_damage(void *arg, const struct verify_damage *d)
{
    struct vaultd *v = arg;
    if (json_array_size(v->damaged) < VAULTD_DAMAGES_MAX)
        json_array_append_new(v->damaged, damage_json(d));
    vaultd_event(v, "damage", damage_json(d));
}

static void on_hit(void *arg, const struct cid *manifest, const struct verify_damage *first)
{
    struct vaultd *v = arg;
    vaultd_event(v, "damaged-generation", scrubbing_hit(v, manifest, damage_json(first)));
}

static void finish(struct vaultd *v, int r)
{
    struct verify_result res = {0};
    verify_result(v->verify, &res);
    json_t *o = json_object();
    json_object_set_new(o, "kind", json_string(kind_name(v->verify_kind)));
    wire_int(o, "packs", res.packs);
    wire_int(o, "objects", res.objects);
    wire_int(o, "bytes", res.bytes);
    wire_int(o, "generations", res.generations);
    wire_int(o, "damaged", res.damaged);
    wire_int(o, "hit", res.hit);
    wire_int(o, "ms", res.ms);
    json_object_set_new(o, "sound", json_boolean(!r && res.sound));
    json_object_set_new(o, "cancelled", json_boolean(r == -SM_ECANCEL));
    if (r && r != -SM_ECANCEL)
        json_object_set_new(o, "error", json_string(sm_strerror(r)));
    json_decref(v->last);
    v->last = json_deep_copy(o);
    json_object_set_new(o, "finished", json_true());
    verifying_end(v);
    vaultd_event(v, "verify", o);
    vaultd_after(v, r == -SM_ECANCEL ? 0 : r);
}

void verifying_end(struct vaultd *v)
{
    verify_free(v->verify);
    v->verify = NULL;
    sm_timer_free(v->step);
    v->step = NULL;
}

static void step(void *arg)
{
    struct vaultd *v = arg;
    struct verify_progress before = v->progress;
    int r = v->store ? verify_step(v->verify) : -SM_ESTATE;
    if (r <= 0) {
        finish(v, r);
        return;
    }
    /* Tell about every hundredth of the way. */
    uint64_t part = v->progress.bytes_total / 100 + 1;
    if (v->progress.bytes / part != before.bytes / part)
        vaultd_event(v, "verify", progress_json(v));
}

static int start(struct vaultd *v, const char *kind)
{
    if (v->verify)
        return -SM_ESTATE;
    v->verify_kind = strcmp(kind, "data") == 0 ? VERIFY_DATA : VERIFY_STRUCTURE;
    v->hooks = (struct verify_hooks){
        .progress = on_progress, .damage = on_damage, .hit = on_hit, .arg = v, .head_pub = v->head_pub, .record = true};
    v->cancel = false;
    v->progress = (struct verify_progress){0};
    json_decref(v->damaged);
    v->damaged = json_array();
    int r = v->damaged ? verify_new(v->store, v->verify_kind, &v->hooks, &v->verify) : -SM_ESTATE;
    if (!r)
        r = sm_loop_timer(v->c->loop, 1, 1, step, v, &v->step);
    if (r && v->verify)
        verifying_end(v);
    return r;
}

void verifying_ask(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct asked ask;
    json_t *out = NULL;
    if (!vaultd_asked(c, ipc, m, &ask))
        return;
    const char *kind = sm_obj_str_opt(&ask.o, "kind", 16);
    bool cancel = sm_obj_bool(&ask.o, "cancel", false);
    int r = ask.o.err;
    if (!r && kind && strcmp(kind, "data") != 0 && strcmp(kind, "structure") != 0)
        r = -SM_EINVAL;
    if (!r && cancel) {
        ask.v->cancel = true;
        out = json_object();
    } else if (!r && kind) {
        r = start(ask.v, kind);
        out = r ? NULL : json_pack("{s:b}", "started", 1);
    } else if (!r) {
        out = json_object();
        json_t *now = verifying_now(ask.v);
        json_object_set_new(out, "running", now ? now : json_null());
        json_object_set(out, "last", ask.v->last ? ask.v->last : json_null());
        json_object_set(out, "damaged", ask.v->damaged ? ask.v->damaged : json_null());
    }
    vaultd_answer(&ask, out, r, ask.o.err ? ask.o.why : r == -SM_ESTATE ? "a check is running already" : NULL);
}
