/*
 * opener: lives only while the restore key is open.  It reads generations for browsing and for the download of single
 * files: sealed objects in (from vault, under a grant), file keys in (from keyd, for envelopes brain granted), plain
 * bytes out (to front). It opens no file, holds no key that outlives it, and one generation's faults end one request.
 */
#include <errno.h>

#include "crypto/init.h"
#include "sakimorid/opener/internal.h"

#define KEYS_MAX 20000u
#define CALL_MS 30000

struct opener *opener_of(struct child *c)
{
    return c->state;
}

/* ---- the reader's source ---- */

/* The answer is u32 length ‖ sealed for each cid asked. */
static int fetch(struct opener *o, const uint8_t grant[16], const struct cid *cid, struct sm_buf *ret)
{
    struct sm_buf body = SM_BUF_INIT(4096), answer = SM_BUF_INIT(OBJ_SEALED_MAX + 4096);
    json_t *j = json_object();
    wire_hex(j, "grant", grant, 16);
    int r = msg_join(j, SM_SPAN(cid->b, 32), &body);
    json_decref(j);
    if (!r)
        r = child_call(o->c, WHO_VAULT, V_OBJECTS, sm_buf_span(&body), CALL_MS, &answer, NULL);
    struct sm_rd rd = SM_RD(sm_buf_span(&answer));
    uint32_t n = r ? 0 : sm_rd_u32(&rd);
    if (!r && n == 0xffffffffu)
        r = -SM_EMISSING;
    if (!r && (rd.err || rd.n != n))
        r = -SM_EPROTO;
    if (!r)
        r = sm_buf_put(ret, rd.p, rd.n);
    sm_buf_wipe(&body);
    sm_buf_wipe(&answer);
    return r;
}

static int source_get(void *arg, const struct cid *cid, uint8_t type, struct sm_buf *ret)
{
    (void)type;
    struct loaded *l = arg;
    return fetch(l->o, l->grant, cid, ret);
}

static int keep_key(struct opener *o, const struct cid *envelope, const uint8_t f[32])
{
    if (o->keys_n >= KEYS_MAX)
        return -SM_ELIMIT;
    if (o->keys_n == o->keys_cap) {
        size_t cap = o->keys_cap ? 2 * o->keys_cap : 64;
        struct file_key_row *p = calloc(cap, sizeof *p);
        if (!p)
            return -ENOMEM;
        if (o->keys_n)
            memcpy(p, o->keys, o->keys_n * sizeof *p);
        sm_zero(o->keys, o->keys_n * sizeof *p);
        free(o->keys);
        o->keys = p;
        o->keys_cap = cap;
    }
    o->keys[o->keys_n].envelope = *envelope;
    memcpy(o->keys[o->keys_n].f.b, f, 32);
    o->keys_n++;
    return 0;
}

static int source_key(void *arg, const struct cid *envelope, struct file_key *ret)
{
    struct loaded *l = arg;
    struct opener *o = l->o;
    for (size_t i = o->keys_n; i-- > 0;) {
        if (cid_eq(&o->keys[i].envelope, envelope)) {
            *ret = o->keys[i].f;
            return 0;
        }
    }
    struct sm_buf sealed = SM_BUF_INIT(ENVELOPE_MAX), ask = SM_BUF_INIT(ENVELOPE_MAX + 64), answer = SM_BUF_INIT(256);
    int r = fetch(o, l->grant, envelope, &sealed);
    if (!r)
        r = sm_buf_put_u32(&ask, (uint32_t)sealed.n);
    if (!r)
        r = sm_buf_put_span(&ask, sm_buf_span(&sealed));
    if (!r)
        r = child_call(o->c, WHO_KEYD, K_OPEN, sm_buf_span(&ask), CALL_MS, &answer, NULL);
    if (!r && (answer.n != 64 || memcmp(answer.p, envelope->b, 32) != 0))
        r = -SM_EPROTO;
    if (!r)
        r = keep_key(o, envelope, answer.p + 32);
    if (!r)
        memcpy(ret->b, answer.p + 32, 32);
    sm_buf_wipe(&sealed);
    sm_buf_wipe(&ask);
    sm_buf_wipe(&answer);
    return r;
}

/* ---- loading ---- */

static void unload(struct opener *o, size_t i)
{
    for (size_t s = 0; s < OPENER_STREAMS_MAX; s++) {
        struct stream *st = &o->streams[s];
        if (st->used && st->loaded == i) {
            child_reply_late_error(o->c, &st->late, -SM_ESTATE, "the generation was closed");
            reader_node_wipe(&st->node);
            st->used = false;
        }
    }
    for (size_t t = 0; t < OPENER_TICKETS_MAX; t++)
        if (o->tickets[t].used && o->tickets[t].loaded == i)
            o->tickets[t].used = false;
    reader_close(o->loaded[i].reader);
    sm_zero(&o->loaded[i], sizeof o->loaded[i]);
}

struct loaded *opener_find(struct opener *o, const struct cid *manifest)
{
    for (size_t i = 0; i < OPENER_LOADED_MAX; i++)
        if (o->loaded[i].used && cid_eq(&o->loaded[i].manifest, manifest))
            return &o->loaded[i];
    return NULL;
}

/* closed (65 bytes): the generation that had to give way, as hex, or "". */
static int load(struct opener *o, json_t *in, struct sm_span raw, char *closed, char *why)
{
    struct sm_obj f = SM_OBJ(in);
    struct cid id, named;
    uint8_t pub[32], grant[16];
    sm_obj_hex(&f, "manifest", named.b, 32);
    sm_obj_hex(&f, "sign_pub", pub, 32);
    sm_obj_hex(&f, "grant", grant, 16);
    snprintf(why, 160, "%s", f.why);
    if (f.err)
        return f.err;
    manifest_id(raw, &id);
    if (!cid_eq(&id, &named))
        return -SM_EMISMATCH;
    struct loaded *l = opener_find(o, &id);
    if (l) {
        memcpy(l->grant, grant, 16);
        return 0;
    }
    size_t i = o->next_loaded++ % OPENER_LOADED_MAX;
    if (o->loaded[i].used) {
        sm_hex(o->loaded[i].manifest.b, 32, closed);
        unload(o, i);
    }
    l = &o->loaded[i];
    memcpy(l->grant, grant, 16);
    l->o = o;
    const struct reader_source source = {.get = source_get, .file_key = source_key, .arg = l};
    int r = reader_open(&source, raw, pub, &l->reader);
    if (!r) {
        l->manifest = id;
        l->used = true;
    }
    return r;
}

static void on_load(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    json_t *in = NULL;
    struct sm_span raw;
    char why[160] = "", closed[65] = "";
    int r = msg_split(m->body, 4096, &in, &raw, why);
    if (!r)
        r = load(opener_of(c), in, raw, closed, why);
    wire_answer(ipc, m, r ? NULL : json_pack("{s:s}", "closed", closed), r, why);
    json_decref(in);
}

static void on_close(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct opener *o = opener_of(c);
    for (size_t i = 0; i < OPENER_LOADED_MAX; i++)
        if (o->loaded[i].used)
            unload(o, i);
    opener_search_forget(&o->search);
    wire_answer(ipc, m, json_object(), 0, NULL);
}

/* The generation and the path of a request; the path is appended to ret_path. */
int opener_target(struct opener *o, json_t *in, struct loaded **ret, struct sm_buf *ret_path, char *why)
{
    struct sm_obj f = SM_OBJ(in);
    struct cid id;
    sm_obj_hex(&f, "manifest", id.b, 32);
    const char *path = sm_obj_str_opt(&f, "path", 2 * OPENER_PATH_MAX);
    snprintf(why, 160, "%s", f.why);
    if (f.err)
        return f.err;
    *ret = opener_find(o, &id);
    if (!*ret)
        return -SM_ESTATE;
    return path ? sm_unbase64(SM_SPAN_STR(path), ret_path) : 0;
}

/* ---- life ---- */

static void opener_gone(struct child *c, unsigned peer)
{
    struct opener *o = opener_of(c);
    for (size_t i = 0; i < OPENER_STREAMS_MAX && peer == WHO_FRONT; i++)
        if (o->streams[i].used)
            opener_stream_end(&o->streams[i]);
}

static int opener_start(struct child *c)
{
    opener_of(c)->c = c;
    return crypto_init();
}

static void opener_end(struct child *c)
{
    struct opener *o = opener_of(c);
    for (size_t i = 0; i < OPENER_STREAMS_MAX; i++)
        if (o->streams[i].used)
            opener_stream_end(&o->streams[i]);
    for (size_t i = 0; i < OPENER_LOADED_MAX; i++)
        reader_close(o->loaded[i].reader);
    for (size_t i = 0; i < OPENER_TICKETS_MAX; i++)
        sm_buf_wipe(&o->tickets[i].path);
    opener_search_forget(&o->search);
    sm_zero(o->keys, o->keys_n * sizeof *o->keys);
    free(o->keys);
}

static const struct child_handler handlers[] = {
    {WHO_BRAIN, O_LOAD, on_load},
    {WHO_BRAIN, O_LIST, opener_on_list},
    {WHO_BRAIN, O_STAT, opener_on_stat},
    {WHO_BRAIN, O_FIND, opener_on_find},
    {WHO_BRAIN, O_DIFF, opener_on_diff},
    {WHO_BRAIN, O_SAMPLE, opener_on_sample},
    {WHO_BRAIN, O_SEARCH, opener_on_search},
    {WHO_BRAIN, O_TICKET, opener_on_ticket},
    {WHO_BRAIN, O_CLOSE, on_close},
    {WHO_FRONT, O_STREAM, opener_on_stream},
};

int opener_main(struct child *c)
{
    struct opener *o = calloc(1, sizeof *o);
    if (!o)
        return 1;
    const struct child_spec spec = {
        .handlers = handlers,
        .handlers_n = sizeof handlers / sizeof handlers[0],
        .start = opener_start,
        .gone = opener_gone,
        .end = opener_end,
    };
    c->state = o;
    int r = child_run(c, &spec);
    free(o);
    return r;
}
