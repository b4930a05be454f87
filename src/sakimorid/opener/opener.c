/*
 * opener: lives only while the restore key is open.  It reads generations for browsing and for the download of single
 * files: sealed objects in (from vault, under a grant), file keys in (from keyd, for envelopes brain granted), plain
 * bytes out (to front). It opens no file, holds no key that outlives it, and one generation's faults end one request.
 */
#include <errno.h>

#include "crypto/hash.h"
#include "crypto/init.h"
#include "crypto/random.h"
#include "sakimorid/wire.h"
#include "vault/snapshot/reader.h"

#define LOADED_MAX 8
#define KEYS_MAX 20000u
#define TICKETS_MAX 64
#define STREAMS_MAX 16
#define LIST_MAX 1000
#define FIND_MAX 500
#define FIND_VISIT_MAX 2000000u
#define PATH_MAX_BYTES READER_PATH_MAX
#define CALL_MS 30000
#define SLICE ((uint64_t)512 << 10)

struct file_key_row {
    struct cid envelope;
    struct file_key f;
};
struct opener;
struct loaded {
    bool used;
    struct cid manifest;
    uint8_t grant[16];
    struct reader *reader;
    struct opener *o;
};
struct ticket {
    bool used;
    uint8_t id[16];
    size_t loaded;
    struct sm_buf path;
};
struct stream {
    bool used;
    struct child_late late;
    size_t loaded;
    struct reader_node node;
    uint64_t at, size;
};

/* What a search over several generations has seen: folders that are the same in another generation are passed over. */
#define MARKS_SLOTS ((size_t)1 << 20)
struct search {
    uint64_t *mark; /* MARKS_SLOTS, 0 = free; NULL until a search */
    size_t n;
    char text[256], range[128];
    uint64_t seq; /* the generation it stands at */
};

struct opener {
    struct search search;
    struct child *c;
    struct loaded loaded[LOADED_MAX];
    size_t next_loaded;
    struct file_key_row *keys;
    size_t keys_n, keys_cap;
    struct ticket tickets[TICKETS_MAX];
    size_t next_ticket;
    struct stream streams[STREAMS_MAX];
};

static struct opener *state(struct child *c)
{
    return c->state;
}

static void search_forget(struct search *s)
{
    free(s->mark);
    *s = (struct search){0};
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
    for (size_t s = 0; s < STREAMS_MAX; s++) {
        struct stream *st = &o->streams[s];
        if (st->used && st->loaded == i) {
            child_reply_late_error(o->c, &st->late, -SM_ESTATE, "the generation was closed");
            reader_node_wipe(&st->node);
            st->used = false;
        }
    }
    for (size_t t = 0; t < TICKETS_MAX; t++)
        if (o->tickets[t].used && o->tickets[t].loaded == i)
            o->tickets[t].used = false;
    reader_close(o->loaded[i].reader);
    sm_zero(&o->loaded[i], sizeof o->loaded[i]);
}

static struct loaded *find(struct opener *o, const struct cid *manifest)
{
    for (size_t i = 0; i < LOADED_MAX; i++)
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
    struct loaded *l = find(o, &id);
    if (l) {
        memcpy(l->grant, grant, 16);
        return 0;
    }
    size_t i = o->next_loaded++ % LOADED_MAX;
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
        r = load(state(c), in, raw, closed, why);
    wire_answer(ipc, m, r ? NULL : json_pack("{s:s}", "closed", closed), r, why);
    json_decref(in);
}

static void on_close(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct opener *o = state(c);
    for (size_t i = 0; i < LOADED_MAX; i++)
        if (o->loaded[i].used)
            unload(o, i);
    search_forget(&o->search);
    wire_answer(ipc, m, json_object(), 0, NULL);
}

/* ---- looking ---- */

/* The generation and the path of a request; the path is appended to ret_path. */
static int target(struct opener *o, json_t *in, struct loaded **ret, struct sm_buf *ret_path, char *why)
{
    struct sm_obj f = SM_OBJ(in);
    struct cid id;
    sm_obj_hex(&f, "manifest", id.b, 32);
    const char *path = sm_obj_str_opt(&f, "path", 2 * PATH_MAX_BYTES);
    snprintf(why, 160, "%s", f.why);
    if (f.err)
        return f.err;
    *ret = find(o, &id);
    if (!*ret)
        return -SM_ESTATE;
    return path ? sm_unbase64(SM_SPAN_STR(path), ret_path) : 0;
}

static const char *kind_name(uint8_t kind)
{
    static const char *const names[] = {"?", "file", "dir", "symlink", "fifo", "socket", "char", "block"};
    return names[kind < sizeof names / sizeof names[0] ? kind : 0];
}

/* Names are bytes; what is not UTF-8 is shown with U+FFFD, and the bytes stand beside it. */
static void put_name(json_t *o, struct sm_span name)
{
    struct sm_buf shown = SM_BUF_INIT(3 * VAULT_NAME_MAX + 16), b64 = SM_BUF_INIT(2 * VAULT_NAME_MAX + 16);
    int r = sm_base64(name, &b64);
    if (!r)
        wire_text(o, "name_b64", sm_buf_span(&b64));
    if (sm_utf8_valid(name)) {
        wire_text(o, "name", name);
    } else {
        for (size_t i = 0; i < name.n && !r; i++)
            r = name.p[i] < 0x80 && name.p[i] >= 0x20 ? sm_buf_put_u8(&shown, name.p[i])
                                                      : sm_buf_put(&shown, "\xef\xbf\xbd", 3);
        wire_text(o, "name", sm_buf_span(&shown));
    }
    sm_buf_wipe(&shown);
    sm_buf_wipe(&b64);
}

static void put_meta(json_t *o, const struct entry_view *e)
{
    struct plat_meta pm;
    struct meta_extra extra;
    char text[SM_TIME_TEXT];
    if (meta_to_plat(e->meta, e->kind, &pm, &extra))
        return;
    sm_time_rfc3339(pm.mtime, text);
    json_object_set_new(o, "mtime", json_string(text));
    json_object_set_new(o, "mode", json_integer((json_int_t)pm.mode));
    json_object_set_new(o, "owner", json_string(pm.user));
    if (extra.changed_while_read)
        json_object_set_new(o, "note", json_string("changed-while-read"));
    if (extra.canary)
        json_object_set_new(o, "note", json_string("canary"));
    plat_meta_wipe(&pm);
}

/* The number of the main stream and its size; -SM_ENOTFOUND for what has none (an empty folder, a link). */
static int main_stream(const struct reader_node *n, uint32_t *ret_i, uint64_t *ret_size)
{
    struct stream_view s;
    for (uint32_t i = 0; i < n->e.nstreams; i++) {
        int r = stream_at(&n->e, i, &s);
        if (r)
            return r;
        if (s.kind == STREAM_MAIN) {
            *ret_i = i;
            *ret_size = s.size;
            return 0;
        }
    }
    return -SM_ENOTFOUND;
}

/* A later name of a hard link has no bytes of its own: they stand with the first name. */
static int with_bytes(struct reader *r, struct reader_node *n, uint32_t *ret_i, uint64_t *ret_size)
{
    struct meta_extra extra;
    struct reader_node first = {0};
    int e = main_stream(n, ret_i, ret_size);
    if (e != -SM_ENOTFOUND || meta_extra_of(n->e.meta, &extra) || !extra.has_link)
        return e;
    e = reader_link_source(r, extra.link_group, &first);
    if (!e)
        e = main_stream(&first, ret_i, ret_size);
    if (e) {
        reader_node_wipe(&first);
        return e;
    }
    reader_node_wipe(n);
    *n = first;
    return 0;
}

static json_t *node_json(const struct reader_node *n)
{
    json_t *o = json_object();
    uint64_t size = 0;
    uint32_t i;
    (void)main_stream(n, &i, &size); /* 0 for what has no bytes */
    put_name(o, n->e.name);
    json_object_set_new(o, "kind", json_string(kind_name(n->e.kind)));
    wire_int(o, "size", size);
    put_meta(o, &n->e);
    return o;
}

struct list_arg {
    json_t *items;
    uint64_t skip, limit, seen;
};

static int list_row(void *arg, const struct reader_node *n)
{
    struct list_arg *a = arg;
    if (a->seen++ < a->skip)
        return 0;
    if (json_array_size(a->items) >= a->limit)
        return -SM_ECANCEL;
    return json_array_append_new(a->items, node_json(n)) ? -ENOMEM : 0;
}

static void on_list(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    json_t *in = wire_body(ipc, m), *out = NULL;
    if (!in)
        return;
    char why[160] = "";
    struct loaded *l = NULL;
    struct sm_buf path = SM_BUF_INIT(PATH_MAX_BYTES);
    struct sm_obj f = SM_OBJ(in);
    struct list_arg a = {.items = json_array()};
    a.skip = (uint64_t)sm_obj_int_opt(&f, "from", 0, INT32_MAX, 0);
    a.limit = (uint64_t)sm_obj_int_opt(&f, "limit", 1, LIST_MAX, 500);
    int r = f.err ? f.err : target(state(c), in, &l, &path, why);
    if (!r)
        r = reader_list(l->reader, sm_buf_span(&path), list_row, &a);
    bool more = r == -SM_ECANCEL;
    if (!r || more) {
        out = json_object();
        json_object_set(out, "items", a.items);
        json_object_set_new(out, "next", more ? json_integer((json_int_t)(a.skip + a.limit)) : json_null());
        r = 0;
    }
    json_decref(a.items);
    wire_answer(ipc, m, out, r, why);
    sm_buf_wipe(&path);
    json_decref(in);
}

static void on_stat(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    json_t *in = wire_body(ipc, m), *out = NULL;
    if (!in)
        return;
    char why[160] = "";
    struct loaded *l = NULL;
    struct sm_buf path = SM_BUF_INIT(PATH_MAX_BYTES);
    struct reader_node n = {0};
    int r = target(state(c), in, &l, &path, why);
    if (!r)
        r = reader_stat(l->reader, sm_buf_span(&path), &n);
    if (!r)
        out = node_json(&n);
    wire_answer(ipc, m, out, r, why);
    reader_node_wipe(&n);
    sm_buf_wipe(&path);
    json_decref(in);
}

/* ---- finding a name ---- */

struct find_arg {
    json_t *items;
    struct sm_span text;
    uint64_t limit, visited;
    struct search *search; /* NULL: one generation, all of it */
    struct sm_span source; /* of the search: the same file of another source is another file */
};

static int put_path(json_t *o, struct sm_span path)
{
    struct sm_buf b64 = SM_BUF_INIT(2 * PATH_MAX_BYTES);
    int r = sm_base64(path, &b64);
    if (!r)
        wire_text(o, "path_b64", sm_buf_span(&b64));
    if (!r && sm_utf8_valid(path))
        wire_text(o, "path", path);
    sm_buf_wipe(&b64);
    return r;
}

/* Was this mark met in the search before?  If not it is now.  Past the bound nothing is added. */
static bool met(struct search *s, uint64_t mark)
{
    mark = mark ? mark : 1;
    size_t i = (size_t)mark & (MARKS_SLOTS - 1);
    while (s->mark[i] && s->mark[i] != mark)
        i = (i + 1) & (MARKS_SLOTS - 1);
    if (s->mark[i] == mark)
        return true;
    if (s->n < MARKS_SLOTS / 2) {
        s->mark[i] = mark;
        s->n++;
    }
    return false;
}

static uint64_t mark_of(const struct sm_span *parts, size_t n)
{
    uint64_t mark;
    uint8_t h[32];
    crypto_sha256v(parts, n, h);
    memcpy(&mark, h, sizeof mark);
    return mark;
}

/* A version of a file: whose, where it stands, its size, and what its metadata says. */
static uint64_t version_mark(struct sm_span source, struct sm_span path, const struct reader_node *n)
{
    uint64_t size = 0;
    uint32_t i;
    (void)main_stream(n, &i, &size); /* 0 for what has no bytes */
    const struct sm_span parts[] = {source, SM_SPAN("\0", 1), path, SM_SPAN("\0", 1), SM_SPAN(&n->e.kind, 1),
        SM_SPAN(&size, sizeof size), n->e.meta};
    return mark_of(parts, sizeof parts / sizeof parts[0]);
}

/* Was this very folder of this source met in the search before? */
static bool folder_met(const struct find_arg *a, struct sm_span path, const struct reader_node *n)
{
    uint64_t pages;
    if (!a->search || n->e.kind != ENTRY_DIR || !reader_folder_mark(n, path, &pages))
        return false;
    const struct sm_span parts[] = {SM_SPAN_STR("folder"), a->source, SM_SPAN(&pages, sizeof pages)};
    return met(a->search, mark_of(parts, sizeof parts / sizeof parts[0]));
}

static uint8_t lower(uint8_t ch)
{
    return ch >= 'A' && ch <= 'Z' ? (uint8_t)(ch + 32) : ch;
}

static bool contains(struct sm_span name, struct sm_span text)
{
    for (size_t i = 0; i + text.n <= name.n; i++) {
        size_t k = 0;
        while (k < text.n && lower(name.p[i + k]) == lower(text.p[k]))
            k++;
        if (k == text.n)
            return true;
    }
    return false;
}

static int find_row(void *arg, enum reader_event event, struct sm_span path, const struct reader_node *n)
{
    struct find_arg *a = arg;
    if (event != READER_ENTRY)
        return 0;
    if (++a->visited > FIND_VISIT_MAX)
        return -SM_ELIMIT;
    /* A folder that another generation of this search had just so is not walked again. */
    bool seen = folder_met(a, path, n);
    if (!contains(n->e.name, a->text) || (a->search && met(a->search, version_mark(a->source, path, n))))
        return seen ? READER_SKIP : 0;
    if (json_array_size(a->items) >= a->limit)
        return -SM_ELIMIT;
    json_t *o = node_json(n);
    int r = put_path(o, path);
    if (json_array_append_new(a->items, o))
        r = -ENOMEM;
    return r < 0 ? r : seen ? READER_SKIP : 0;
}

static void on_find(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    json_t *in = wire_body(ipc, m), *out = NULL;
    if (!in)
        return;
    char why[160] = "";
    struct loaded *l = NULL;
    struct sm_buf path = SM_BUF_INIT(PATH_MAX_BYTES);
    struct sm_obj f = SM_OBJ(in);
    struct find_arg a = {.items = json_array(), .text = wire_get(&f, "text", 255)};
    a.limit = (uint64_t)sm_obj_int_opt(&f, "limit", 1, FIND_MAX, 100);
    int r = f.err ? f.err : target(state(c), in, &l, &path, why);
    if (!r)
        r = reader_walk(l->reader, sm_buf_span(&path), find_row, &a);
    if (!r || r == -SM_ELIMIT) {
        out = json_object();
        json_object_set(out, "items", a.items);
        json_object_set_new(out, "more", json_boolean(r == -SM_ELIMIT));
        r = 0;
    }
    json_decref(a.items);
    wire_answer(ipc, m, out, r, f.err ? f.why : why);
    sm_buf_wipe(&path);
    json_decref(in);
}

/* ---- a name in many generations, one after the other ---- */

/* Does this go on with the search that is remembered, where it stood?  Another person's, another range of generations or
 * a page asked for twice begins anew: what was told only there must not be missing here. */
static bool goes_on(const struct search *s, const char *text, const char *range, uint64_t after)
{
    return s->mark && after && after == s->seq && !strcmp(s->text, text) && !strcmp(s->range, range);
}

/* As O_FIND, but each version of a file is told once in the search: with the first generation asked that holds it. */
static void on_search(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    json_t *in = wire_body(ipc, m), *out = NULL;
    if (!in)
        return;
    char why[160] = "";
    struct opener *o = state(c);
    struct loaded *l = NULL;
    struct sm_buf path = SM_BUF_INIT(PATH_MAX_BYTES);
    struct sm_obj f = SM_OBJ(in);
    struct find_arg a = {.items = json_array(), .text = wire_get(&f, "text", 255), .search = &o->search};
    a.limit = (uint64_t)sm_obj_int_opt(&f, "limit", 1, FIND_MAX, 100);
    a.source = wire_get(&f, "source", 64);
    const char *range = sm_obj_str(&f, "range", 0, sizeof o->search.range - 1);
    uint64_t after = (uint64_t)sm_obj_int(&f, "after", 0, INT64_MAX), seq = (uint64_t)sm_obj_int(&f, "seq", 1, INT64_MAX);
    int r = f.err ? f.err : target(o, in, &l, &path, why);
    if (!r && !goes_on(&o->search, (const char *)a.text.p, range, after))
        search_forget(&o->search);
    if (!r && !o->search.mark && !(o->search.mark = calloc(MARKS_SLOTS, sizeof *o->search.mark)))
        r = -ENOMEM;
    if (!r) {
        snprintf(o->search.text, sizeof o->search.text, "%s", (const char *)a.text.p);
        snprintf(o->search.range, sizeof o->search.range, "%s", range);
        o->search.seq = seq;
        r = reader_walk(l->reader, sm_buf_span(&path), find_row, &a);
    }
    if (r)
        search_forget(&o->search); /* a walk that was cut short has not seen what it marked */
    if (!r || r == -SM_ELIMIT) {
        out = json_object();
        json_object_set(out, "items", a.items);
        json_object_set_new(out, "more", json_boolean(r == -SM_ELIMIT));
        r = 0;
    }
    json_decref(a.items);
    wire_answer(ipc, m, out, r, f.err ? f.why : why);
    sm_buf_wipe(&path);
    json_decref(in);
}

/* ---- two generations ---- */

static int diff_row(void *arg, const struct reader_difference *d)
{
    static const char *const names[] = {"?", "added", "removed", "changed"};
    static const struct { unsigned bit; const char *name; } whats[] = {
        {READER_CONTENT, "content"}, {READER_META, "meta"}, {READER_KIND, "kind"}};
    struct list_arg *a = arg;
    if (a->seen++ < a->skip)
        return 0;
    if (json_array_size(a->items) >= a->limit)
        return -SM_ECANCEL;
    json_t *o = node_json(d->is ? d->is : d->was), *what = json_array();
    for (size_t i = 0; i < sizeof whats / sizeof whats[0]; i++)
        if (d->what & whats[i].bit)
            json_array_append_new(what, json_string(whats[i].name));
    json_object_set_new(o, "change", json_string(names[d->change]));
    json_object_set_new(o, "what", what);
    if (d->is && d->was)
        json_object_set_new(o, "was", node_json(d->was));
    int r = put_path(o, d->path);
    return json_array_append_new(a->items, o) ? -ENOMEM : r;
}

static void on_diff(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    json_t *in = wire_body(ipc, m), *out = NULL;
    if (!in)
        return;
    struct opener *o = state(c);
    struct sm_buf path = SM_BUF_INIT(PATH_MAX_BYTES);
    struct sm_obj f = SM_OBJ(in);
    struct list_arg a = {.items = json_array()};
    struct cid older, newer;
    sm_obj_hex(&f, "older", older.b, 32);
    sm_obj_hex(&f, "newer", newer.b, 32);
    const char *given = sm_obj_str_opt(&f, "path", 2 * PATH_MAX_BYTES);
    a.skip = (uint64_t)sm_obj_int_opt(&f, "from", 0, INT32_MAX, 0);
    a.limit = (uint64_t)sm_obj_int_opt(&f, "limit", 1, LIST_MAX, 500);
    struct loaded *was = f.err ? NULL : find(o, &older), *is = f.err ? NULL : find(o, &newer);
    int r = f.err ? f.err : !was || !is ? -SM_ESTATE : given ? sm_unbase64(SM_SPAN_STR(given), &path) : 0;
    if (!r)
        r = reader_diff(was->reader, is->reader, sm_buf_span(&path), diff_row, &a);
    bool more = r == -SM_ECANCEL, large = r == -SM_ELIMIT; /* large: what was met so far is told, and that it is not all */
    if (!r || more || large) {
        out = json_object();
        json_object_set(out, "items", a.items);
        json_object_set_new(out, "next", more ? json_integer((json_int_t)(a.skip + a.limit)) : json_null());
        json_object_set_new(out, "more", json_boolean(more || large));
        r = 0;
    }
    json_decref(a.items);
    wire_answer(ipc, m, out, r, f.why);
    sm_buf_wipe(&path);
    json_decref(in);
}

/* ---- a sample for a drill ---- */

#define SAMPLE_MAX 1000u
#define SAMPLE_TEXT_MAX ((size_t)64 << 10) /* of the paths as base64: they stand in one signed order */
struct sampled { struct sm_buf path; uint64_t size; };
struct sample_arg { struct sampled *row; size_t limit, n; uint64_t files, bytes; };

/* Reservoir sampling (Vitter's algorithm R): every file has the same chance, in one walk. */
static int sample_row(void *arg, enum reader_event event, struct sm_span path, const struct reader_node *n)
{
    struct sample_arg *a = arg;
    uint64_t size = 0, draw;
    uint32_t i;
    if (event != READER_ENTRY || n->e.kind != ENTRY_FILE)
        return 0;
    (void)main_stream(n, &i, &size); /* 0 for what has no bytes of its own */
    a->files++;
    a->bytes += size;
    size_t at = a->n;
    if (a->n == a->limit) {
        crypto_random(&draw, sizeof draw);
        draw %= a->files;
        if (draw >= a->limit)
            return 0;
        at = (size_t)draw;
    } else {
        a->row[a->n++].path = SM_BUF_INIT(PATH_MAX_BYTES);
    }
    sm_buf_clear(&a->row[at].path);
    a->row[at].size = size;
    return sm_buf_put_span(&a->row[at].path, path);
}

static int by_size(const void *x, const void *y)
{
    const struct sampled *a = x, *b = y;
    return a->size < b->size ? -1 : a->size > b->size;
}

/* The smallest ones until the bytes are used up, and at least one. */
static json_t *sample_json(struct sample_arg *a, uint64_t most)
{
    json_t *paths = json_array();
    uint64_t bytes = 0;
    size_t text = 0;
    struct sm_buf b64 = SM_BUF_INIT(2 * PATH_MAX_BYTES);
    qsort(a->row, a->n, sizeof *a->row, by_size);
    for (size_t i = 0; i < a->n && (i == 0 || bytes + a->row[i].size <= most); i++) {
        sm_buf_clear(&b64);
        if (sm_base64(sm_buf_span(&a->row[i].path), &b64) < 0 || text + b64.n + 4 > SAMPLE_TEXT_MAX)
            continue;
        text += b64.n + 4;
        json_array_append_new(paths, json_stringn((const char *)b64.p, b64.n));
        bytes += a->row[i].size;
    }
    sm_buf_wipe(&b64);
    json_t *o = json_object();
    json_object_set_new(o, "files", json_integer((json_int_t)json_array_size(paths)));
    json_object_set_new(o, "paths", paths);
    wire_int(o, "bytes", bytes);
    wire_int(o, "files_total", a->files);
    wire_int(o, "bytes_total", a->bytes);
    return o;
}

static void on_sample(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    json_t *in = wire_body(ipc, m), *out = NULL;
    if (!in)
        return;
    char why[160] = "";
    struct loaded *l = NULL;
    struct sm_buf path = SM_BUF_INIT(PATH_MAX_BYTES);
    struct sm_obj f = SM_OBJ(in);
    struct sample_arg a = {.limit = (size_t)sm_obj_int(&f, "files", 1, SAMPLE_MAX)};
    uint64_t most = (uint64_t)sm_obj_int(&f, "bytes", 0, INT64_MAX);
    int r = f.err ? f.err : target(state(c), in, &l, &path, why);
    if (!r && !(a.row = calloc(a.limit, sizeof *a.row)))
        r = -ENOMEM;
    if (!r)
        r = reader_walk(l->reader, SM_SPAN(NULL, 0), sample_row, &a);
    if (!r)
        out = sample_json(&a, most);
    for (size_t i = 0; i < a.n; i++)
        sm_buf_wipe(&a.row[i].path);
    free(a.row);
    wire_answer(ipc, m, out, r, f.err ? f.why : why);
    sm_buf_wipe(&path);
    json_decref(in);
}

/* ---- tickets and streams ---- */

/* A ticket is one download: brain checks who may, front fetches.  The oldest gives way to a new one. */
static void on_ticket(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    struct opener *o = state(c);
    json_t *in = wire_body(ipc, m), *out = NULL;
    if (!in)
        return;
    char why[160] = "";
    struct loaded *l = NULL;
    struct reader_node n = {0};
    struct sm_buf path = SM_BUF_INIT(PATH_MAX_BYTES);
    struct sm_obj f = SM_OBJ(in);
    uint8_t id[16];
    uint64_t size = 0;
    uint32_t i = 0;
    sm_obj_hex(&f, "ticket", id, 16);
    int r = f.err ? f.err : target(o, in, &l, &path, why);
    if (!r)
        r = reader_stat(l->reader, sm_buf_span(&path), &n);
    if (!r && n.e.kind != ENTRY_FILE)
        r = -SM_EINVAL;
    if (!r)
        r = with_bytes(l->reader, &n, &i, &size);
    if (!r) {
        out = node_json(&n);
        wire_int(out, "size", size);
        struct ticket *t = &o->tickets[o->next_ticket++ % TICKETS_MAX];
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

static void stream_end(struct stream *s)
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
            stream_end(s);
            break;
        }
        bool last = s->at + n >= s->size;
        r = child_reply_late(o->c, &s->late, last ? 0 : SM_IPC_MORE, sm_buf_span(&out));
        if (r == -SM_EAGAIN)
            break;
        s->at += n;
        if (r || last)
            stream_end(s);
    }
    sm_buf_wipe(&out);
}

static void streams_pump(void *arg)
{
    struct opener *o = arg;
    for (size_t i = 0; i < STREAMS_MAX; i++)
        if (o->streams[i].used)
            stream_go(o, &o->streams[i]);
}

static struct ticket *ticket_of(struct opener *o, const uint8_t id[16])
{
    for (size_t i = 0; i < TICKETS_MAX; i++)
        if (o->tickets[i].used && sm_ct_eq(o->tickets[i].id, id, 16))
            return &o->tickets[i];
    return NULL;
}

static void on_stream(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct opener *o = state(c);
    json_t *in = wire_body(ipc, m);
    if (!in)
        return;
    struct sm_obj f = SM_OBJ(in);
    uint8_t id[16];
    sm_obj_hex(&f, "ticket", id, 16);
    struct ticket *t = f.err ? NULL : ticket_of(o, id);
    struct stream *s = NULL;
    for (size_t i = 0; i < STREAMS_MAX && !s; i++)
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

/* ---- life ---- */

static void opener_gone(struct child *c, unsigned peer)
{
    struct opener *o = state(c);
    for (size_t i = 0; i < STREAMS_MAX && peer == WHO_FRONT; i++)
        if (o->streams[i].used)
            stream_end(&o->streams[i]);
}

static int opener_start(struct child *c)
{
    state(c)->c = c;
    return crypto_init();
}

static void opener_end(struct child *c)
{
    struct opener *o = state(c);
    for (size_t i = 0; i < STREAMS_MAX; i++)
        if (o->streams[i].used)
            stream_end(&o->streams[i]);
    for (size_t i = 0; i < LOADED_MAX; i++)
        reader_close(o->loaded[i].reader);
    for (size_t i = 0; i < TICKETS_MAX; i++)
        sm_buf_wipe(&o->tickets[i].path);
    search_forget(&o->search);
    sm_zero(o->keys, o->keys_n * sizeof *o->keys);
    free(o->keys);
}

static const struct child_handler handlers[] = {
    {WHO_BRAIN, O_LOAD, on_load},
    {WHO_BRAIN, O_LIST, on_list},
    {WHO_BRAIN, O_STAT, on_stat},
    {WHO_BRAIN, O_FIND, on_find},
    {WHO_BRAIN, O_DIFF, on_diff},
    {WHO_BRAIN, O_SAMPLE, on_sample},
    {WHO_BRAIN, O_SEARCH, on_search},
    {WHO_BRAIN, O_TICKET, on_ticket},
    {WHO_BRAIN, O_CLOSE, on_close},
    {WHO_FRONT, O_STREAM, on_stream},
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
