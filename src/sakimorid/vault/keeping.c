/* What clients have the box keep of their caches: sealed bytes in and out (vault/store/caches.h). */
#include <errno.h>

#include "plat/clock.h"
#include "sakimorid/vault/vaultd.h"
#include "vault/store/caches.h"

#define PIECE ((size_t)240 << 10)

static int whose(struct sm_obj *o, struct client_id *client, struct source_id *source)
{
    sm_obj_hex(o, "client", client->b, 16);
    sm_obj_hex(o, "source", source->b, 16);
    return o->err;
}

void keeping_put(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct vaultd *v = vaultd_of(c);
    struct store *st = vaultd_store(v, ipc, m);
    struct caches_put p = {0};
    struct sm_span raw;
    json_t *in = NULL;
    char why[160] = "";
    if (!st)
        return;
    int r = msg_split(m->body, 4096, &in, &raw, why);
    struct sm_obj o = SM_OBJ(in);
    if (!r)
        r = whose(&o, &p.client, &p.source);
    /* log 16 ‖ u64 at ‖ u8 last ‖ bytes: as the client sent it */
    struct sm_rd rd = SM_RD(raw);
    if (!r) {
        sm_rd_copy(&rd, p.log, sizeof p.log);
        p.at = sm_rd_u64(&rd);
        uint8_t last = sm_rd_u8(&rd);
        p.last = last == 1;
        r = rd.err || last > 1 ? -SM_EINVAL : caches_put(st, &p, SM_SPAN(rd.p, rd.n));
    }
    if (r == -SM_EMISMATCH) /* the box lost what it is to be added to: a new base is wanted */
        r = -SM_ESTATE;
    json_decref(in);
    vaultd_after(v, r == -ENOSPC ? 0 : r); /* a cache that finds no room is no trouble of the vault */
    wire_answer(ipc, m, r ? NULL : json_object(), r, why[0] ? why : sm_strerror(r));
}

void keeping_get(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct store *st = vaultd_store(vaultd_of(c), ipc, m);
    json_t *in = st ? wire_body(ipc, m) : NULL;
    struct client_id client;
    struct source_id source;
    uint8_t log[CACHES_LOG_LEN];
    struct sm_buf bytes = SM_BUF_INIT(PIECE), out = SM_BUF_INIT(PIECE + 64);
    uint64_t total = 0;
    if (!in)
        return;
    struct sm_obj o = SM_OBJ(in);
    int r = whose(&o, &client, &source);
    uint64_t at = (uint64_t)sm_obj_int(&o, "offset", 0, INT64_MAX);
    r = r ? r : o.err ? o.err : caches_get(st, &client, &source, at, PIECE, log, &total, &bytes);
    r = r ? r : sm_buf_put(&out, log, sizeof log);
    r = r ? r : sm_buf_put_u64(&out, total);
    r = r ? r : sm_buf_put_span(&out, sm_buf_span(&bytes));
    json_decref(in);
    if (r)
        child_reply_error(ipc, m, r, sm_strerror(r));
    else
        child_reply(ipc, m, sm_buf_span(&out));
    sm_buf_wipe(&bytes);
    sm_buf_wipe(&out);
}

/* After an incident nothing that was kept before it is given out again. */
void keeping_drop(struct vaultd *v, const struct client_id *client)
{
    /* What is left is of no use: the next run of the machine is ordered to read everything. */
    (void)!caches_drop(v->store, client);
}

void keeping_tidy(struct vaultd *v)
{
    (void)!caches_tidy(v->store, plat_clock_wall().s); /* the next hour tries again */
}
