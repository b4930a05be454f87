/* Packs from front: begin, data, end.  A pack is acknowledged only after the flush that covers it. */
#include <errno.h>
#include "sakimorid/vault/vaultd.h"

static struct upload *by_handle(struct vaultd *v, uint32_t handle)
{
    for (size_t i = 0; i < VAULTD_UPLOADS_MAX && handle; i++)
        if (v->uploads[i].handle == handle)
            return &v->uploads[i];
    return NULL;
}

static struct upload *take(struct vaultd *v)
{
    for (size_t i = 0; i < VAULTD_UPLOADS_MAX; i++) {
        struct upload *u = &v->uploads[i];
        if (!u->handle) {
            *u = (struct upload){.handle = ++v->next_handle ? v->next_handle : ++v->next_handle};
            return u;
        }
    }
    return NULL;
}

/* Two uploads of one pack at the same time would tread on each other: the newer one wins, the older one's handle dies.
 */
static void drop_same(struct vaultd *v, const struct cid *pack, const struct far *far)
{
    for (size_t i = 0; i < VAULTD_UPLOADS_MAX; i++) {
        struct upload *u = &v->uploads[i];
        /* Of a neighbour one file is under way at a time. */
        if (u->handle && !u->ended && u->far == far && (far || cid_eq(&u->pack, pack)))
            u->handle = 0;
    }
}

/* Of a machine: its session says where it belongs. */
static int begin_session(struct vaultd *v, struct sm_obj *o, const struct cid *pack, uint64_t length,
    struct session_id *ret, uint64_t *ret_have, char why[COPY_WHY])
{
    struct session_id id;
    sm_obj_hex(o, "session", id.b, sizeof id.b);
    struct store_session *s = o->err ? NULL : store_session_find(v->store, &id);
    int r = o->err ? o->err : s ? store_pack_begin(s, pack, length, ret_have) : -SM_ENOTFOUND;
    if (r == -SM_ELIMIT) {
        struct store_session_info info;
        store_session_info(s, &info);
        cleaning_quota(v, &info.client, length);
        snprintf(why, COPY_WHY, "over a limit of this machine: its quota of stored bytes, or what it may send before a manifest");
    }
    if (!r)
        *ret = id;
    return r;
}

void uploads_begin(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct vaultd *v = vaultd_of(c);
    struct store *st = vaultd_store(v, ipc, m);
    json_t *in = st ? wire_body(ipc, m) : NULL, *out = NULL;
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    struct session_id id = {{0}};
    struct cid pack;
    struct peer *p = NULL;
    char why[COPY_WHY] = "";
    uint64_t have = 0;
    sm_obj_hex(&o, "pack", pack.b, sizeof pack.b);
    uint64_t length = (uint64_t)sm_obj_int(&o, "length", 1, INT64_MAX);
    uint64_t offset = (uint64_t)sm_obj_int_opt(&o, "offset", 0, INT64_MAX, 0);
    int r = o.err;
    if (!r && json_object_get(in, "peer") && peer != WHO_FRONT)
        r = -SM_EDENIED;
    else if (!r && json_object_get(in, "peer"))
        p = peers_find(v, &o, &r);
    if (!r)
        r = p ? peers_pack_begin(v, p, &pack, length, &have) : begin_session(v, &o, &pack, length, &id, &have, why);
    if (!r && have < length && have != offset) {
        snprintf(why, sizeof why, "%llu", (unsigned long long)have);
        r = -SM_EMISMATCH;
    }
    struct upload *u = NULL;
    if (!r) {
        drop_same(v, &pack, p ? p->far : NULL);
        u = take(v);
        r = u ? 0 : -SM_EAGAIN;
    }
    if (!r) {
        u->sender = peer;
        u->session = id;
        u->far = p ? p->far : NULL;
        u->pack = pack;
        u->offset = have;
        u->total = length;
        out = json_object();
        wire_int(out, "handle", u->handle);
        wire_int(out, "have", have);
        json_object_set_new(out, "done", json_boolean(have == length));
    }
    if (!p)
        vaultd_after(v, r);
    wire_answer(ipc, m, out, r == -EDQUOT ? -ENOSPC : r, o.err ? o.why : why);
    json_decref(in);
}

static int take_data(struct vaultd *v, struct upload *u, struct sm_span bytes)
{
    if (u->far)
        return u->ended ? -SM_ENOTFOUND : far_pack_data(u->far, &u->pack, u->offset, bytes);
    struct store_session *s = v->store ? store_session_find(v->store, &u->session) : NULL;
    return s && !u->ended ? store_pack_data(s, &u->pack, u->offset, bytes) : -SM_ENOTFOUND;
}

void uploads_data(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct vaultd *v = vaultd_of(c);
    struct sm_rd rd = SM_RD(m->body);
    struct upload *u = by_handle(v, sm_rd_u32(&rd));
    int r = rd.err ? -SM_EPROTO : u ? take_data(v, u, SM_SPAN(rd.p, rd.n)) : -SM_ENOTFOUND;
    if (r) {
        if (!u || !u->far)
            vaultd_after(v, r); /* a neighbour's folder is not the vault: its errors break nothing */
        child_reply_error(ipc, m, r, sm_strerror(r));
        if (u && r != -SM_EMISMATCH)
            u->handle = 0;
        return;
    }
    u->offset += rd.n;
    child_reply(ipc, m, SM_SPAN(NULL, 0));
}

static struct upload *from_body(struct vaultd *v, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    json_t *in = wire_body(ipc, m);
    if (!in)
        return NULL;
    struct sm_obj o = SM_OBJ(in);
    uint32_t handle = (uint32_t)sm_obj_int(&o, "handle", 1, UINT32_MAX);
    struct upload *u = o.err ? NULL : by_handle(v, handle);
    if (!u)
        child_reply_error(ipc, m, -SM_ENOTFOUND, "no such upload");
    json_decref(in);
    return u;
}

/* A neighbour's is on disk when it has its name: there is no group to wait for. */
static void end_far(struct upload *u, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    json_t *out = NULL;
    int r = far_pack_end(u->far, &u->pack, &u->duplicate);
    if (!r) {
        out = json_object();
        wire_hex(out, "pack", u->pack.b, 32);
        json_object_set_new(out, "duplicate", json_boolean(u->duplicate));
    }
    u->handle = 0;
    wire_answer(ipc, m, out, r == -EDQUOT ? -ENOSPC : r, NULL);
}

void uploads_end(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct vaultd *v = vaultd_of(c);
    struct upload *u = from_body(v, ipc, m);
    if (!u)
        return;
    if (u->far) {
        end_far(u, ipc, m);
        return;
    }
    struct store_session *s = v->store ? store_session_find(v->store, &u->session) : NULL;
    int r = s ? store_pack_end(s, &u->pack, &u->duplicate) : -SM_ENOTFOUND;
    if (r) {
        u->handle = 0;
        vaultd_after(v, r);
        child_reply_error(ipc, m, r, sm_strerror(r));
        return;
    }
    u->ended = true;
    u->late = child_later(c, peer, m);
    vaultd_flush_soon(v);
}

void uploads_abort(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct vaultd *v = vaultd_of(c);
    struct upload *u = from_body(v, ipc, m);
    if (!u)
        return;
    /* A cut connection is not a reason to forget what came: the client goes on at the byte the box holds. */
    u->handle = 0;
    json_t *o = json_object();
    child_reply_json(ipc, m, o);
    json_decref(o);
}

void uploads_flush(struct vaultd *v)
{
    struct journal_signed_head head;
    int r = store_flush(v->store, &head);
    for (size_t i = 0; i < VAULTD_UPLOADS_MAX; i++) {
        struct upload *u = &v->uploads[i];
        if (!u->handle || !u->ended)
            continue;
        if (r) {
            child_reply_late_error(v->c, &u->late, r, sm_strerror(r));
        } else {
            json_t *o = json_object();
            wire_hex(o, "pack", u->pack.b, 32);
            json_object_set_new(o, "duplicate", json_boolean(u->duplicate));
            query_put_head(o, "head", &head);
            child_reply_late_json(v->c, &u->late, o);
            json_decref(o);
        }
        u->handle = 0;
    }
    vaultd_after(v, r);
}

void uploads_forget(struct vaultd *v, unsigned peer)
{
    for (size_t i = 0; i < VAULTD_UPLOADS_MAX; i++)
        if (!v->uploads[i].ended && v->uploads[i].sender == peer)
            v->uploads[i].handle = 0;
}
