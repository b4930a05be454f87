/* Rules: those that are shipped and the box's own, loaded anew on notice; what cannot be loaded is kept with its reason. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimorid/watch/watch.h"
#include "sakimorid/wire.h"

enum { DEPTH_MAX = 8, NAME_BYTES = 600, LIST_MAX = 500 };

/* One folder being read: its set, and where its names begin. */
struct loading {
    struct watch *w;
    struct sigma_set *set;
    int dir;
    char path[NAME_BYTES];
    unsigned depth;
    bool sources;               /* this time the tables of log sources, else the rules */
    int err;
};

static void fault(void *ctx, const struct sigma_fault *f)
{
    struct watch *w = ctx;

    w->faults_n++;
    if (json_array_size(w->faults) < FAULTS_MAX)
        (void)json_array_append_new(w->faults, json_pack("{ss si ss}", "file", f->file, "line", (int)f->line, "why", f->why));
}

static void fault_file(struct watch *w, const char *file, const char *why)
{
    struct sigma_fault f = { .file = file };

    snprintf(f.why, sizeof f.why, "%s", why);
    fault(w, &f);
}

static bool ends_in(struct sm_span name, const char *end)
{
    size_t n = strlen(end);

    return name.n > n && !memcmp(name.p + name.n - n, end, n);
}

static int load_file(struct loading *l, const char *name, const char *path)
{
    struct sm_buf text = SM_BUF_INIT(SIGMA_TEXT_MAX);
    struct sigma_fault f = { .file = path };
    int r;

    if (l->w->files_n++ >= RULE_FILES_MAX)
        return -SM_ELIMIT;
    r = plat_fs_read_file(l->dir, name, SIGMA_TEXT_MAX, &text);
    if (r < 0) {
        fault_file(l->w, path, sm_strerror(r));
        return r == -ENOMEM ? r : 0;
    }
    if (l->sources) {
        r = sigma_sources(l->set, path, sm_buf_span(&text), &f);
        if (r < 0 && r != -ENOMEM)
            fault(l->w, &f);
    } else {
        r = sigma_add(l->set, path, sm_buf_span(&text), fault, l->w);
    }
    sm_buf_wipe(&text);
    return r == -ENOMEM ? r : 0;
}

static int load_dir(struct loading *l);

static int on_name(void *arg, struct sm_span name, unsigned char type)
{
    struct loading *l = arg;
    char path[NAME_BYTES];
    const char *text = (const char *)name.p;
    bool table = name.n == 14 && !memcmp(text, "logsources.yml", 14);
    int n;

    if (text[0] == '.' || !sm_utf8_valid(name))
        return 0;
    n = snprintf(path, sizeof path, "%s%s%s", l->path, l->path[0] ? "/" : "", text);
    if (n < 0 || (size_t)n >= sizeof path)
        return 0;
    if (type == DT_DIR && l->depth < DEPTH_MAX) {
        struct loading below = *l;
        below.depth++;
        memcpy(below.path, path, sizeof path);
        below.dir = plat_fs_open_dir(l->dir, text);
        if (below.dir < 0)
            return 0;
        int r = load_dir(&below);
        close(below.dir);
        return r;
    }
    if (type != DT_REG || table != l->sources || !(ends_in(name, ".yml") || ends_in(name, ".yaml")))
        return 0;
    return load_file(l, text, path);
}

static int load_dir(struct loading *l)
{
    int again = openat(l->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* a position of its own */
    int r = again < 0 ? -errno : plat_fs_list(again, on_name, l);

    if (again >= 0)
        close(again);
    return r;
}

/* Tables of log sources first, of both folders, then the rules. */
static int load_all(struct watch *w, struct sigma_set *set)
{
    const char *const folders[] = { w->shipped, w->own };
    int r = 0;

    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < 2 && r >= 0; i++) {
            struct loading l = { .w = w, .set = set, .sources = pass == 0 };
            l.dir = plat_fs_open_dir(AT_FDCWD, folders[i]);
            if (l.dir < 0 && l.dir != -ENOENT)
                fault_file(w, folders[i], sm_strerror(l.dir));
            if (l.dir < 0)
                continue;
            r = load_dir(&l);
            close(l.dir);
            if (r == -SM_ELIMIT)
                fault_file(w, folders[i], "more files than are read");
            r = r == -ENOMEM ? r : 0;
        }
    return r;
}

static void switch_off(struct watch *w, struct sigma_set *set)
{
    size_t i;
    json_t *v;

    json_array_foreach(w->off, i, v)
        if (json_is_string(v))
            (void)!sigma_switch(set, json_string_value(v), false); /* a rule that is not there any more needs no switch */
}

/* The list is never empty: a rule that lacks its list would wait. */
static int known_places(struct watch *w, struct sigma_set *set)
{
    int r = sigma_list(set, "known_places", "-");
    size_t i;
    json_t *v;

    json_array_foreach(w->places, i, v)
        if (r >= 0 && json_is_string(v))
            r = sigma_list(set, "known_places", json_string_value(v));
    return r;
}

int rules_load(struct watch *w)
{
    struct sigma_options options = { .zone_s = NORMALISE_ZONE_JST };
    struct sigma_set *set = sigma_set_new(w->names);
    struct sigma_matcher *matcher = NULL;
    struct sigma_scratch *scratch = NULL;
    struct correlate *correlate = NULL;
    uint64_t *hits = NULL, began = plat_clock_mono_ms();
    int r = set ? 0 : -ENOMEM;

    (void)json_array_clear(w->faults); /* an array: cannot fail */
    w->faults_n = w->files_n = 0;
    if (r >= 0)
        r = known_places(w, set);
    if (r >= 0)
        r = load_all(w, set);
    if (r >= 0)
        r = sigma_link(set, fault, w);
    if (r >= 0) {
        switch_off(w, set);
        r = sigma_compile(set, &options, &matcher);
    }
    if (r >= 0 && !(scratch = sigma_scratch_new(matcher)))
        r = -ENOMEM;
    if (r >= 0)
        r = correlate_new(set, w->names, &correlate);
    if (r >= 0 && !(hits = calloc(sigma_count(set) + 1, sizeof *hits)))
        r = -ENOMEM;
    if (r < 0) {
        correlate_free(correlate);
        sigma_scratch_free(scratch);
        sigma_matcher_free(matcher);
        sigma_set_free(set);
        return r;
    }
    rules_free(w);
    w->set = set;
    w->matcher = matcher;
    w->scratch = scratch;
    w->correlate = correlate;
    w->rule_hits = hits;
    w->rules_generation++;
    signals_forget(w); /* their numbers meant other rules */
    sm_info("%zu rules of %zu files in %llu ms, %zu could not be loaded", sigma_count(set), w->files_n,
        (unsigned long long)(plat_clock_mono_ms() - began), w->faults_n);
    return 0;
}

void rules_free(struct watch *w)
{
    correlate_free(w->correlate);
    w->correlate = NULL;
    sigma_scratch_free(w->scratch);
    sigma_matcher_free(w->matcher);
    sigma_set_free(w->set);
    free(w->rule_hits);
    w->scratch = NULL;
    w->matcher = NULL;
    w->set = NULL;
    w->rule_hits = NULL;
}

/* ---- the list ---- */

static const char *const levels[] = { "", "informational", "low", "medium", "high", "critical" };
static const char *const kinds[] = { "rule", "filter", "correlation" };

static json_t *rule_json(const struct watch *w, const struct sigma_rule *r)
{
    json_t *tags = json_array();

    for (size_t i = 0; tags && r->tags[i] && i < 40; i++)
        (void)json_array_append_new(tags, json_string(r->tags[i])); /* one less when memory is short */
    return json_pack("{ss ss ss ss ss ss ss ss ss ss ss ss ss ss sb so sI}", "id", *r->id ? r->id : r->name, "title", r->title,
        "title_ja", r->title_ja, "what_ja", r->what_ja, "kind", kinds[r->kind], "level", levels[r->level], "status", r->status,
        "author", r->author, "license", r->license, "file", r->file, "product", r->product, "category", r->category, "service",
        r->service, "waits", r->waits, "off", r->off, "tags", tags, "hits",
        (json_int_t)w->rule_hits[r->number]);
}

static bool has(const char *text, const char *part)
{
    return strcasestr(text, part) != NULL;
}

/* {"from", "limit", "text"?, "id"?, "faults"?: bool} → {"items", "total", "next"?, "counts"}. */
void rules_on_list(struct child *c, unsigned peer, struct sm_ipc *ipc, struct sm_ipc_msg *m)
{
    struct watch *w = c->state;
    json_t *in = wire_body(ipc, m), *items = json_array();
    struct sm_obj o = SM_OBJ(in);
    size_t total = w->set ? sigma_count(w->set) : 0, i;

    if (!in) {
        json_decref(items);
        return;
    }
    size_t from = (size_t)sm_obj_int_opt(&o, "from", 0, INT32_MAX, 0), limit = (size_t)sm_obj_int_opt(&o, "limit", 1, LIST_MAX, 100);
    const char *text = sm_obj_str_opt(&o, "text", 200), *id = sm_obj_str_opt(&o, "id", 200);
    for (i = from; i < total && json_array_size(items) < limit; i++) {
        const struct sigma_rule *r = sigma_rule_at(w->set, i);
        if (id && strcmp(r->id, id) != 0 && strcmp(r->name, id) != 0)
            continue;
        if (text && !has(r->title, text) && !has(r->title_ja, text) && !has(r->id, text) && !has(r->name, text) &&
            !has(r->file, text))
            continue;
        if (json_array_append_new(items, rule_json(w, r)) < 0)
            break;
    }
    json_t *out = json_pack("{sO sI sI sI sI}", "items", items, "total", (json_int_t)total, "files", (json_int_t)w->files_n,
        "faults_total", (json_int_t)w->faults_n, "generation", (json_int_t)w->rules_generation);
    if (out && i < total)
        wire_int(out, "next", i);
    if (out && json_is_true(json_object_get(in, "faults")))
        (void)json_object_set(out, "faults", w->faults); /* left out when memory is short */
    wire_answer(ipc, m, out, o.err, o.why);
    json_decref(items);
    json_decref(in);
}
