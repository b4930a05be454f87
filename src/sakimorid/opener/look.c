/* Looking into a generation: lists, one entry, what differs between two, a sample by chance. */
#include <errno.h>

#include "crypto/random.h"
#include "sakimorid/opener/internal.h"

#define LIST_MAX 1000

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

int opener_main_stream(const struct reader_node *n, uint32_t *ret_i, uint64_t *ret_size)
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

json_t *opener_node(const struct reader_node *n)
{
    json_t *o = json_object();
    uint64_t size = 0;
    uint32_t i;
    (void)opener_main_stream(n, &i, &size); /* 0 for what has no bytes */
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
    return json_array_append_new(a->items, opener_node(n)) ? -ENOMEM : 0;
}

void opener_on_list(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    json_t *in = wire_body(ipc, m), *out = NULL;
    if (!in)
        return;
    char why[160] = "";
    struct loaded *l = NULL;
    struct sm_buf path = SM_BUF_INIT(OPENER_PATH_MAX);
    struct sm_obj f = SM_OBJ(in);
    struct list_arg a = {.items = json_array()};
    a.skip = (uint64_t)sm_obj_int_opt(&f, "from", 0, INT32_MAX, 0);
    a.limit = (uint64_t)sm_obj_int_opt(&f, "limit", 1, LIST_MAX, 500);
    int r = f.err ? f.err : opener_target(opener_of(c), in, &l, &path, why);
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

void opener_on_stat(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    json_t *in = wire_body(ipc, m), *out = NULL;
    if (!in)
        return;
    char why[160] = "";
    struct loaded *l = NULL;
    struct sm_buf path = SM_BUF_INIT(OPENER_PATH_MAX);
    struct reader_node n = {0};
    int r = opener_target(opener_of(c), in, &l, &path, why);
    if (!r)
        r = reader_stat(l->reader, sm_buf_span(&path), &n);
    if (!r)
        out = opener_node(&n);
    wire_answer(ipc, m, out, r, why);
    reader_node_wipe(&n);
    sm_buf_wipe(&path);
    json_decref(in);
}

int opener_put_path(json_t *o, struct sm_span path)
{
    struct sm_buf b64 = SM_BUF_INIT(2 * OPENER_PATH_MAX);
    int r = sm_base64(path, &b64);
    if (!r)
        wire_text(o, "path_b64", sm_buf_span(&b64));
    if (!r && sm_utf8_valid(path))
        wire_text(o, "path", path);
    sm_buf_wipe(&b64);
    return r;
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
    json_t *o = opener_node(d->is ? d->is : d->was), *what = json_array();
    for (size_t i = 0; i < sizeof whats / sizeof whats[0]; i++)
        if (d->what & whats[i].bit)
            json_array_append_new(what, json_string(whats[i].name));
    json_object_set_new(o, "change", json_string(names[d->change]));
    json_object_set_new(o, "what", what);
    if (d->is && d->was)
        json_object_set_new(o, "was", opener_node(d->was));
    int r = opener_put_path(o, d->path);
    return json_array_append_new(a->items, o) ? -ENOMEM : r;
}

void opener_on_diff(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    json_t *in = wire_body(ipc, m), *out = NULL;
    if (!in)
        return;
    struct opener *o = opener_of(c);
    struct sm_buf path = SM_BUF_INIT(OPENER_PATH_MAX);
    struct sm_obj f = SM_OBJ(in);
    struct list_arg a = {.items = json_array()};
    struct cid older, newer;
    sm_obj_hex(&f, "older", older.b, 32);
    sm_obj_hex(&f, "newer", newer.b, 32);
    const char *given = sm_obj_str_opt(&f, "path", 2 * OPENER_PATH_MAX);
    a.skip = (uint64_t)sm_obj_int_opt(&f, "from", 0, INT32_MAX, 0);
    a.limit = (uint64_t)sm_obj_int_opt(&f, "limit", 1, LIST_MAX, 500);
    struct loaded *was = f.err ? NULL : opener_find(o, &older), *is = f.err ? NULL : opener_find(o, &newer);
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
    (void)opener_main_stream(n, &i, &size); /* 0 for what has no bytes of its own */
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
        a->row[a->n++].path = SM_BUF_INIT(OPENER_PATH_MAX);
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
    struct sm_buf b64 = SM_BUF_INIT(2 * OPENER_PATH_MAX);
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

void opener_on_sample(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    (void)peer;
    json_t *in = wire_body(ipc, m), *out = NULL;
    if (!in)
        return;
    char why[160] = "";
    struct loaded *l = NULL;
    struct sm_buf path = SM_BUF_INIT(OPENER_PATH_MAX);
    struct sm_obj f = SM_OBJ(in);
    struct sample_arg a = {.limit = (size_t)sm_obj_int(&f, "files", 1, SAMPLE_MAX)};
    uint64_t most = (uint64_t)sm_obj_int(&f, "bytes", 0, INT64_MAX);
    int r = f.err ? f.err : opener_target(opener_of(c), in, &l, &path, why);
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
