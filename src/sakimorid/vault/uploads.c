/* Packs from front: begin, data, end.  A pack is acknowledged only after the flush that covers it. */
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
static void drop_same(struct vaultd *v, const struct cid *pack)
{
    for (size_t i = 0; i < VAULTD_UPLOADS_MAX; i++) {
        struct upload *u = &v->uploads[i];
        if (u->handle && !u->ended && cid_eq(&u->pack, pack))
            u->handle = 0;
    }
}

void uploads_begin(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct vaultd *v = vaultd_of(c);
    struct store *st = vaultd_store(v, ipc, m);
    json_t *in = st ? wire_body(ipc, m) : NULL, *out = NULL;
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    struct session_id id;
    struct cid pack;
    char why[160] = "";
    uint64_t have = 0;
    sm_obj_hex(&o, "session", id.b, sizeof id.b);
    sm_obj_hex(&o, "pack", pack.b, sizeof pack.b);
    uint64_t length = (uint64_t)sm_obj_int(&o, "length", 1, INT64_MAX);
    uint64_t offset = (uint64_t)sm_obj_int_opt(&o, "offset", 0, INT64_MAX, 0);
    int r = o.err;
    struct store_session *s = r ? NULL : store_session_find(st, &id);
    if (!r && !s)
        r = -SM_ENOTFOUND;
    if (!r)
        r = store_pack_begin(s, &pack, length, &have);
    if (r == -SM_ELIMIT) {
        struct store_session_info info;
        store_session_info(s, &info);
        cleaning_quota(v, &info.client, length);
        snprintf(why, sizeof why, "over a limit of this machine: its quota of stored bytes, or what it may send before a manifest");
    }
    if (!r && have < length && have != offset) {
        snprintf(why, sizeof why, "%llu", (unsigned long long)have);
        r = -SM_EMISMATCH;
    }
    struct upload *u = NULL;
    if (!r) {
        drop_same(v, &pack);
        u = take(v);
        r = u ? 0 : -SM_EAGAIN;
    }
    if (!r) {
        u->session = id;
        u->pack = pack;
        u->offset = have;
        u->total = length;
        out = json_object();
        wire_int(out, "handle", u->handle);
        wire_int(out, "have", have);
        json_object_set_new(out, "done", json_boolean(have == length));
    }
    vaultd_after(v, r);
    wire_answer(ipc, m, out, r, o.err ? o.why : why);
    json_decref(in);
}

void uploads_data(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct vaultd *v = vaultd_of(c);
    struct sm_rd rd = SM_RD(m->body);
    struct upload *u = by_handle(v, sm_rd_u32(&rd));
    struct store_session *s = u && v->store ? store_session_find(v->store, &u->session) : NULL;
    int r = rd.err           ? -SM_EPROTO
            : s && !u->ended ? store_pack_data(s, &u->pack, u->offset, SM_SPAN(rd.p, rd.n))
                             : -SM_ENOTFOUND;
    if (r) {
        vaultd_after(v, r);
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

void uploads_end(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct vaultd *v = vaultd_of(c);
    struct upload *u = from_body(v, ipc, m);
    if (!u)
        return;
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

void uploads_forget(struct vaultd *v)
{
    for (size_t i = 0; i < VAULTD_UPLOADS_MAX; i++)
        if (!v->uploads[i].ended)
            v->uploads[i].handle = 0;
}
