/* What is told of rules: the list with its filters, and one rule with its text. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "plat/fs.h"
#include "sakimorid/watch/watch.h"
#include "sakimorid/wire.h"

enum { LIST_MAX = 500, TEXTS_MAX = 40, REFER_MAX = 32, SHOWN_MAX = 96 << 10 };

static const char *const levels[] = { "", "informational", "low", "medium", "high", "critical" };
static const char *const kinds[] = { "rule", "filter", "correlation" };
static const char *const layers[LAYERS] = { "shipped", "own", "bundle", "folder", "shipped", "tuning" };

static json_t *texts(const char *const *list)
{
    json_t *a = json_array();

    for (size_t i = 0; a && list[i] && i < TEXTS_MAX; i++)
        (void)json_array_append_new(a, json_stringn(list[i], strnlen(list[i], 500))); /* one less when memory is short, or cut in a letter */
    return a;
}

static const char *id_of(const struct sigma_rule *r)
{
    return *r->id ? r->id : r->name;
}

/* What becomes of what it finds. */
static const char *state_of(const struct sigma_rule *r)
{
    return r->replaced ? "replaced" : r->broken ? "broken" : r->off ? "off" : *r->waits ? "waits" : r->correlated ? "feeds" : "on";
}

json_t *rule_json(const struct watch *w, const struct sigma_rule *r)
{
    json_t *j = json_pack("{ss ss ss ss ss ss ss ss ss ss ss ss ss ss sb so ss ss}", "id", id_of(r), "title", r->title,
        "title_ja", r->title_ja, "what_ja", r->what_ja, "kind", kinds[r->kind], "level", levels[r->level], "status", r->status,
        "author", r->author, "license", r->license, "file", r->file, "product", r->product, "category", r->category, "service",
        r->service, "waits", r->waits, "off", r->off, "tags", texts(r->tags), "state", state_of(r), "source",
        layers[r->layer < LAYERS ? r->layer : 0]);

    if (j && w->set && sigma_rule_at(w->set, r->number) == r)
        wire_int(j, "hits", w->rule_hits[r->number]);
    return j;
}

const struct sigma_rule *rule_by_id(const struct sigma_set *set, const char *id)
{
    const struct sigma_rule *replaced = NULL;

    for (size_t i = 0; i < sigma_count(set) && *id; i++) {
        const struct sigma_rule *r = sigma_rule_at(set, i);
        if (r->layer == LAYER_TUNING || (strcasecmp(r->id, id) != 0 && strcmp(r->name, id) != 0))
            continue;
        if (!r->replaced)
            return r;
        replaced = r;
    }
    return replaced;
}

/* ---- the list ---- */

static bool has(const char *text, const char *part)
{
    return strcasestr(text, part) != NULL;
}

struct wanted { const char *text, *id, *state, *level, *product, *tag, *source, *kind; };

static bool tagged(const struct sigma_rule *r, const char *tag)
{
    for (size_t i = 0; r->tags[i]; i++)
        if (has(r->tags[i], tag))
            return true;
    return false;
}

static bool fits(const struct sigma_rule *r, const struct wanted *q)
{
    if (r->layer == LAYER_TUNING)
        return false;
    if (q->id && strcmp(r->id, q->id) != 0 && strcmp(r->name, q->id) != 0)
        return false;
    if (q->text && !has(r->title, q->text) && !has(r->title_ja, q->text) && !has(r->id, q->text) && !has(r->name, q->text) &&
        !has(r->file, q->text) && !has(r->author, q->text))
        return false;
    return (!q->state ? !r->replaced || q->id : !strcmp(state_of(r), q->state)) && (!q->level || !strcmp(levels[r->level], q->level)) &&
           (!q->product || !strcasecmp(r->product, q->product)) && (!q->tag || tagged(r, q->tag)) &&
           (!q->source || !strcmp(layers[r->layer < LAYERS ? r->layer : 0], q->source)) && (!q->kind || !strcmp(kinds[r->kind], q->kind));
}

static const char *asked(struct sm_obj *o, const char *key)
{
    const char *v = sm_obj_str_opt(o, key, 200);

    return v && *v ? v : NULL;
}

/* How many of each state, of those that count. */
static json_t *counts(const struct watch *w)
{
    json_t *j = json_object(), *products = json_object();

    for (size_t i = 0; w->set && i < sigma_count(w->set); i++) {
        const struct sigma_rule *r = sigma_rule_at(w->set, i);
        const char *state = state_of(r);
        if (r->layer == LAYER_TUNING)
            continue;
        wire_int(j, state, (uint64_t)json_integer_value(json_object_get(j, state)) + 1);
        if (*r->product && json_object_size(products) < 200 && strlen(r->product) < 60)
            (void)json_object_set_new(products, r->product, json_true()); /* one less to choose from */
    }
    if (j && products)
        (void)json_object_set(j, "products", products);
    json_decref(products);
    return j;
}

/* {"from", "limit", "text"?, "id"?, "state"?, …, "faults"?: bool} → {"items", "total", "found", "next"?, "counts", …}. */
void rules_on_list(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct watch *w = c->state;
    json_t *in = wire_body(ipc, m), *items = json_array();
    struct sm_obj o = SM_OBJ(in);
    size_t total = w->set ? sigma_count(w->set) : 0, found = 0;

    if (!in) {
        json_decref(items);
        return;
    }
    size_t from = (size_t)sm_obj_int_opt(&o, "from", 0, INT32_MAX, 0), limit = (size_t)sm_obj_int_opt(&o, "limit", 1, LIST_MAX, 100);
    const struct wanted q = { asked(&o, "text"), asked(&o, "id"), asked(&o, "state"), asked(&o, "level"), asked(&o, "product"),
        asked(&o, "tag"), asked(&o, "source"), asked(&o, "kind") };
    for (size_t i = 0; i < total; i++) {
        const struct sigma_rule *r = sigma_rule_at(w->set, i);
        if (!fits(r, &q) || found++ < from || json_array_size(items) >= limit)
            continue;
        if (json_array_append_new(items, rule_json(w, r)) < 0)
            break;
    }
    size_t next = from + json_array_size(items);
    json_t *out = json_pack("{sO sI sI sI sI sI so}", "items", items, "total", (json_int_t)total, "found", (json_int_t)found, "files",
        (json_int_t)w->rules.files_n, "faults_total", (json_int_t)w->rules.faults_n, "generation", (json_int_t)w->rules_generation, "counts",
        counts(w));
    if (out && next < found)
        wire_int(out, "next", next);
    if (out && json_is_true(json_object_get(in, "faults")) && w->rules.faults)
        (void)json_object_set(out, "faults", w->rules.faults); /* left out when memory is short */
    wire_answer(ipc, m, out, o.err, o.why);
    json_decref(items);
    json_decref(in);
}

/* ---- one rule ---- */

static int file_text(const char *folder, const char *name, struct sm_buf *ret)
{
    int dir = plat_fs_open_dir(AT_FDCWD, folder), r = dir;
    int fd = dir < 0 ? dir : plat_fs_open_beneath(dir, name, O_RDONLY, 0);
    uint64_t size = 0;

    if (dir >= 0)
        r = fd < 0 ? fd : plat_fs_size(fd, &size);
    if (r >= 0 && size > SIGMA_TEXT_MAX)
        r = -SM_ELIMIT;
    if (r >= 0)
        r = sm_buf_reserve(ret, (size_t)size);
    if (r >= 0)
        r = plat_fs_pread_all(fd, ret->p, (size_t)size, 0);
    if (r >= 0)
        ret->n = (size_t)size;
    if (fd >= 0)
        close(fd);
    if (dir >= 0)
        close(dir);
    return r < 0 ? r : 0;
}

static int own_text(const struct watch *w, const char *id, struct sm_buf *ret)
{
    const json_t *v;
    size_t i;

    json_array_foreach(w->own_rules, i, v)
        if (!strcmp(json_string_value(json_object_get(v, "id")) ? json_string_value(json_object_get(v, "id")) : "", id)) {
            const char *text = json_string_value(json_object_get(v, "text"));
            return sm_buf_put(ret, text ? text : "", text ? strlen(text) : 0);
        }
    return -SM_ENOTFOUND;
}

static int bundle_text(struct watch *w, const char *name, struct sm_buf *ret)
{
    struct bundle *b = NULL;
    char why[BUNDLE_WHY_MAX] = "";
    int r = bundles_current(w, &b, why);
    const struct bundle_file *f = r < 0 || !b ? NULL : bundle_find(b, name);

    if (r >= 0)
        r = f ? sm_buf_put_span(ret, f->text) : -SM_ENOTFOUND;
    bundle_free(b);
    return r;
}

/* The document that has this line: from `---` to `---`. */
static struct sm_span document(struct sm_span text, unsigned line)
{
    struct sm_span doc = { text.p, 0 };
    unsigned at = 1;

    while (text.n) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        size_t n = end ? (size_t)(end - text.p) + 1 : text.n;
        bool cut = n >= 3 && !memcmp(text.p, "---", 3) && (n == 3 || text.p[3] == '\n' || text.p[3] == '\r' || text.p[3] == ' ');
        if (cut && at > line)
            break;
        if (cut)
            doc.p = text.p + n;
        text.p += n;
        text.n -= n;
        at++;
    }
    doc.n = (size_t)(text.p - doc.p);
    return doc;
}

int rule_text(struct watch *w, const struct sigma_rule *r, struct sm_buf *ret)
{
    struct sm_buf file = SM_BUF_INIT(SIGMA_TEXT_MAX);
    int err;

    switch (r->layer) {
    case LAYER_OWN: err = strncmp(r->file, "own/", 4) ? -SM_ENOTFOUND : own_text(w, r->file + 4, &file); break;
    case LAYER_BUNDLE: err = strncmp(r->file, "bundle/", 7) ? -SM_ENOTFOUND : bundle_text(w, r->file + 7, &file); break;
    case LAYER_FOLDER: err = file_text(w->own, r->file, &file); break;
    case LAYER_SHIPPED: err = file_text(w->shipped, r->file, &file); break;
    default: err = -SM_ENOTFOUND; break;
    }
    if (err >= 0)
        err = sm_buf_put_span(ret, document(sm_buf_span(&file), r->line));
    sm_buf_wipe(&file);
    return err;
}

static json_t *some(const struct watch *w, const struct sigma_rule *const *list, size_t n)
{
    json_t *a = json_array();

    for (size_t i = 0; a && i < n; i++)
        (void)json_array_append_new(a, json_pack("{ss ss ss ss}", "id", id_of(list[i]), "title", list[i]->title, "title_ja", list[i]->title_ja,
            "state", state_of(list[i]))); /* one less when memory is short */
    return a;
}

static json_t *whole(struct watch *w, const struct sigma_rule *r)
{
    const struct sigma_rule *list[REFER_MAX];
    struct sm_buf text = SM_BUF_INIT(SIGMA_TEXT_MAX);
    json_t *j = rule_json(w, r);

    if (!j)
        return NULL;
    if (rule_text(w, r, &text) < 0)
        text.n = 0; /* the file went away since: the rule is in use all the same */
    size_t n = text.n < SHOWN_MAX ? text.n : SHOWN_MAX;
    while (n && !sm_utf8_valid(SM_SPAN(text.p, n)) && n > text.n - 4)
        n--;
    (void)json_object_set_new(j, "text", json_stringn((const char *)text.p, n) ); /* missing when it is no text */
    (void)json_object_set_new(j, "cut", json_boolean(n < text.n));
    (void)json_object_set_new(j, "line", json_integer(r->line));
    (void)json_object_set_new(j, "description", json_stringn(r->description, strnlen(r->description, 8000)));
    (void)json_object_set_new(j, "todo_ja", json_string(r->todo_ja));
    (void)json_object_set_new(j, "date", json_string(r->date));
    (void)json_object_set_new(j, "modified", json_string(r->modified));
    (void)json_object_set_new(j, "references", texts(r->references));
    (void)json_object_set_new(j, "falsepositives", texts(r->falsepositives));
    size_t feeds = sigma_feeds(w->set, r, list, REFER_MAX);
    (void)json_object_set_new(j, "feeds", some(w, list, feeds));
    size_t refers = sigma_refers(w->set, r, list, REFER_MAX);
    (void)json_object_set_new(j, "refers", some(w, list, refers));
    sm_buf_wipe(&text);
    return j;
}

/* {"id"} → the rule that counts. */
void rules_on_one(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct watch *w = c->state;
    json_t *in = wire_body(ipc, m);
    struct sm_obj o = SM_OBJ(in);

    if (!in)
        return;
    const char *id = sm_obj_str(&o, "id", 1, 200);
    const struct sigma_rule *r = o.err || !w->set ? NULL : rule_by_id(w->set, id);
    if (o.err || !r)
        wire_answer(ipc, m, NULL, o.err ? o.err : -SM_ENOTFOUND, o.why);
    else
        wire_answer(ipc, m, whole(w, r), 0, NULL);
    json_decref(in);
}
