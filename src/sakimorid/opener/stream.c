/* The bytes of one file, to front: a ticket from brain, one stream for it. */
#include "sakimorid/opener/internal.h"

#define SLICE ((uint64_t)512 << 10)

/* A later name of a hard link has no bytes of its own: they stand with the first name. */
static int with_bytes(struct reader *r, struct reader_node *n, uint32_t *ret_i, uint64_t *ret_size)
{
    struct meta_extra extra;
    struct reader_node first = {0};
    int e = opener_main_stream(n, ret_i, ret_size);
    if (e != -SM_ENOTFOUND || meta_extra_of(n->e.meta, &extra) || !extra.has_link)
        return e;
    e = reader_link_source(r, extra.link_group, &first);
    if (!e)
        e = opener_main_stream(&first, ret_i, ret_size);
    if (e) {
        reader_node_wipe(&first);
        return e;
    }
    reader_node_wipe(n);
    *n = first;
    return 0;
}

/* A ticket is one download: brain checks who may, front fetches.  The oldest gives way to a new one. */
void opener_on_ticket(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct opener *o = opener_of(c);
    json_t *in = wire_body(ipc, m), *out = NULL;
    if (!in)
        return;
    char why[160] = "";
    struct loaded *l = NULL;
    struct reader_node n = {0};
    struct sm_buf path = SM_BUF_INIT(OPENER_PATH_MAX);
    struct sm_obj f = SM_OBJ(in);
    uint8_t id[16];
    uint64_t size = 0;
    uint32_t i = 0;
    sm_obj_hex(&f, "ticket", id, 16);
    int r = f.err ? f.err : opener_target(o, in, &l, &path, why);
    if (!r)
        r = reader_stat(l->reader, sm_buf_span(&path), &n);
    if (!r && n.e.kind != ENTRY_FILE)
        r = -SM_EINVAL;
    if (!r)
        r = with_bytes(l->reader, &n, &i, &size);
    if (!r) {
        out = opener_node(&n);
        wire_int(out, "size", size);
        struct ticket *t = &o->tickets[o->next_ticket++ % OPENER_TICKETS_MAX];
        sm_buf_wipe(&t->path);
        *t = (struct ticket){.used = true, .loaded = (size_t)(l - o->loaded), .path = path};
        memcpy(t->id, id, 16);
        path = (struct sm_buf){0};
    }
    wire_answer(ipc, m, out, r, f.err ? f.why : why);
    reader_node_wipe(&n);
    sm_buf_wipe(&path);
    json_decref(in);
}

struct slice_arg {
    struct sm_buf *out;
};

static int slice_row(void *arg, uint64_t offset, struct sm_span data)
{
    (void)offset;
    struct slice_arg *a = arg;
    if (data.p)
        return sm_buf_put_span(a->out, data);
    int r = sm_buf_reserve(a->out, data.n);
    if (!r) {
        memset(a->out->p + a->out->n, 0, data.n);
        a->out->n += data.n;
    }
    return r;
}

void opener_stream_end(struct stream *s)
{
    reader_node_wipe(&s->node);
    s->used = false;
}

static void stream_go(struct opener *o, struct stream *s)
{
    struct sm_buf out = SM_BUF_INIT((size_t)2 * SLICE + CHUNK_PLAIN_MAX);
    struct slice_arg a = {&out};
    uint32_t i = 0;
    uint64_t size = 0;
    while (s->used) {
        uint64_t n = s->size - s->at < SLICE ? s->size - s->at : SLICE;
        sm_buf_clear(&out);
        int r = with_bytes(o->loaded[s->loaded].reader, &s->node, &i, &size);
        if (!r && n)
            r = reader_read(o->loaded[s->loaded].reader, &s->node, i, s->at, n, slice_row, &a);
        if (r) {
            child_reply_late_error(o->c, &s->late, r, sm_strerror(r));
            opener_stream_end(s);
            break;
        }
        bool last = s->at + n >= s->size;
        r = child_reply_late(o->c, &s->late, last ? 0 : SM_IPC_MORE, sm_buf_span(&out));
        if (r == -SM_EAGAIN)
            break;
        s->at += n;
        if (r || last)
            opener_stream_end(s);
    }
    sm_buf_wipe(&out);
}

static void streams_pump(void *arg)
{
    struct opener *o = arg;
    for (size_t i = 0; i < OPENER_STREAMS_MAX; i++)
        if (o->streams[i].used)
            stream_go(o, &o->streams[i]);
}

static struct ticket *ticket_of(struct opener *o, const uint8_t id[16])
{
    for (size_t i = 0; i < OPENER_TICKETS_MAX; i++)
        if (o->tickets[i].used && sm_ct_eq(o->tickets[i].id, id, 16))
            return &o->tickets[i];
    return NULL;
}

void opener_on_stream(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct opener *o = opener_of(c);
    json_t *in = wire_body(ipc, m);
    if (!in)
        return;
    struct sm_obj f = SM_OBJ(in);
    uint8_t id[16];
    sm_obj_hex(&f, "ticket", id, 16);
    struct ticket *t = f.err ? NULL : ticket_of(o, id);
    struct stream *s = NULL;
    for (size_t i = 0; i < OPENER_STREAMS_MAX && !s; i++)
        if (!o->streams[i].used)
            s = &o->streams[i];
    int r = f.err ? f.err : !t ? -SM_ENOTFOUND : !s ? -SM_EAGAIN : 0;
    uint32_t i;
    if (!r) {
        struct reader *rd = o->loaded[t->loaded].reader;
        *s = (struct stream){.loaded = t->loaded};
        r = reader_stat(rd, sm_buf_span(&t->path), &s->node);
        if (!r)
            r = with_bytes(rd, &s->node, &i, &s->size);
        t->used = false; /* one download */
    }
    json_decref(in);
    if (r) {
        if (s)
            reader_node_wipe(&s->node);
        child_reply_error(ipc, m, r, sm_strerror(r));
        return;
    }
    s->used = true;
    s->late = child_later(c, peer, m);
    child_on_drained(c, peer, streams_pump, o);
    stream_go(o, s);
}
