/* Rules: the box's own, those of the bundle, of DATA/rules and those that are shipped; made beside the ones in use, then used instead.
 * What cannot be loaded is kept with its reason. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "core/log.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimorid/watch/watch.h"
#include "sakimorid/wire.h"

enum { DEPTH_MAX = 8, NAME_BYTES = 600, OWN_MAX = 500, HITS_LOT = 2000 };

/* One folder being read: its set, and where its names begin. */
struct loading {
    struct sigma_set *set;
    sigma_fault_fn *fault;
    void *ctx;
    size_t *files_n;
    int dir;
    char path[NAME_BYTES];
    unsigned depth;
    bool sources;               /* this time the tables of log sources, else the rules */
};

static void keep_fault(void *ctx, const struct sigma_fault *f)
{
    struct ruleset *r = ctx;

    if (!strncmp(f->file, "tuning/", 7))
        return; /* a filter whose rule is gone waits for it */
    r->faults_n++;
    if (json_array_size(r->faults) < FAULTS_MAX)
        (void)json_array_append_new(r->faults, json_pack("{ss si ss}", "file", f->file, "line", (int)f->line, "why", f->why));
}

static void fault_file(sigma_fault_fn *fault, void *ctx, const char *file, const char *why)
{
    struct sigma_fault f = { .file = file };

    snprintf(f.why, sizeof f.why, "%s", why);
    fault(ctx, &f);
}

/* ---- folders ---- */

static int load_file(struct loading *l, const char *name, const char *path)
{
    struct sm_buf text = SM_BUF_INIT(SIGMA_TEXT_MAX);
    struct sigma_fault f = { .file = path };
    int r;

    if ((*l->files_n)++ >= RULE_FILES_MAX)
        return -SM_ELIMIT;
    r = plat_fs_read_file(l->dir, name, SIGMA_TEXT_MAX, &text);
    if (r < 0) {
        fault_file(l->fault, l->ctx, path, sm_strerror(r));
        return r == -ENOMEM ? r : 0;
    }
    if (l->sources) {
        r = sigma_sources(l->set, path, sm_buf_span(&text), &f);
        if (r < 0 && r != -ENOMEM)
            l->fault(l->ctx, &f);
    } else {
        r = sigma_add(l->set, path, sm_buf_span(&text), l->fault, l->ctx);
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

    if (text[0] == '.' || !sm_utf8_valid(name))
        return 0;
    int n = snprintf(path, sizeof path, "%s%s%s", l->path, l->path[0] ? "/" : "", text);
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
    if (type != DT_REG || !(l->sources ? bundle_is_sources(text) : bundle_is_rules(text)))
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

static int load_folder(struct loading l, const char *folder)
{
    l.dir = plat_fs_open_dir(AT_FDCWD, folder);
    if (l.dir < 0 && l.dir != -ENOENT)
        fault_file(l.fault, l.ctx, folder, sm_strerror(l.dir));
    if (l.dir < 0)
        return 0;
    int r = load_dir(&l);
    close(l.dir);
    if (r == -SM_ELIMIT)
        fault_file(l.fault, l.ctx, folder, "more files than are read");
    return r == -ENOMEM ? r : 0;
}

/* ---- the bundle, the box's own, filters ---- */

static int load_bundle(const struct loading *l, const struct bundle *b)
{
    int r = 0;

    for (size_t i = 0; b && i < bundle_count(b) && r >= 0; i++) {
        const struct bundle_file *f = bundle_at(b, i);
        char path[NAME_BYTES];
        struct sigma_fault fault = { .file = path };
        snprintf(path, sizeof path, "bundle/%s", f->name);
        if (l->sources && bundle_is_sources(f->name)) {
            r = sigma_sources(l->set, path, f->text, &fault);
            if (r < 0 && r != -ENOMEM)
                l->fault(l->ctx, &fault);
        } else if (!l->sources && bundle_is_rules(f->name)) {
            ++*l->files_n;
            r = sigma_add(l->set, path, f->text, l->fault, l->ctx);
        }
        r = r == -ENOMEM ? r : 0;
    }
    return r;
}

static int load_own(const struct loading *l, const json_t *own)
{
    const json_t *v;
    size_t i;

    json_array_foreach(own, i, v) {
        const char *id = json_string_value(json_object_get(v, "id")), *text = json_string_value(json_object_get(v, "text"));
        char path[NAME_BYTES];
        if (!id || !text || i >= OWN_MAX)
            continue;
        snprintf(path, sizeof path, "own/%.200s", id);
        ++*l->files_n;
        int r = sigma_add(l->set, path, SM_SPAN_STR(text), l->fault, l->ctx);
        if (r == -ENOMEM)
            return r;
    }
    return 0;
}

/* A filter of people as one of Sigma's, in JSON, which YAML holds. */
static json_t *filter_of(const json_t *tune, const struct sigma_rule *rule)
{
    json_t *source = json_object(), *filter = json_pack("{ss s[s]}", "condition", "not all of part*", "rules", *rule->id ? rule->id : rule->name);
    const char *const words[][2] = { { "product", rule->product }, { "category", rule->category }, { "service", rule->service } };
    const json_t *c;
    size_t i;

    for (i = 0; i < 3; i++)
        if (*words[i][1])
            (void)json_object_set_new(source, words[i][0], json_string(words[i][1])); /* without memory: the filter is left out below */
    json_array_foreach(json_object_get(tune, "conditions"), i, c) {
        const char *field = json_string_value(json_object_get(c, "field")), *modifier = json_string_value(json_object_get(c, "modifier"));
        char key[300], part[32];
        snprintf(part, sizeof part, "part%zu", i);
        snprintf(key, sizeof key, "%.200s%s%.60s", field ? field : "", modifier && *modifier ? "|" : "", modifier ? modifier : "");
        json_t *selection = json_object();
        (void)json_object_set(selection, key, json_object_get(c, "values")); /* as above */
        (void)json_object_set_new(filter, part, selection);
    }
    return json_pack("{ss so so}", "title", "tuning", "logsource", source, "filter", filter);
}

int rules_tune(struct watch *w, struct sigma_set *set)
{
    const json_t *v;
    size_t i;
    int r = 0;

    sigma_layer(set, LAYER_TUNING);
    json_array_foreach(w->tuning, i, v) {
        const char *id = json_string_value(json_object_get(v, "rule"));
        const struct sigma_rule *rule = id ? rule_by_id(set, id) : NULL;
        char path[80];
        if (!rule || rule->kind != SIGMA_RULE)
            continue;
        json_t *j = filter_of(v, rule);
        char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
        snprintf(path, sizeof path, "tuning/%lld", (long long)json_integer_value(json_object_get(v, "id")));
        if (text)
            r = sigma_add(set, path, SM_SPAN_STR(text), NULL, NULL);
        free(text);
        json_decref(j);
        if (!text || r == -ENOMEM)
            return -ENOMEM;
    }
    return 0;
}

/* ---- all of it ---- */

/* The list is never empty: a rule that lacks its list would wait. */
static int known_places(const struct watch *w, struct sigma_set *set)
{
    int r = sigma_list(set, "known_places", "-");
    size_t i;
    json_t *v;

    json_array_foreach(w->places, i, v)
        if (r >= 0 && json_is_string(v))
            r = sigma_list(set, "known_places", json_string_value(v));
    return r;
}

int rules_tables(struct watch *w, const struct bundle *b, struct sigma_set *set, sigma_fault_fn *fault, void *ctx)
{
    size_t files = 0;
    struct loading l = { .set = set, .fault = fault, .ctx = ctx, .files_n = &files, .sources = true };
    int r = known_places(w, set);

    if (r >= 0)
        r = load_folder(l, w->shipped); /* what is added last counts */
    if (r >= 0)
        r = load_folder(l, w->own);
    return r < 0 ? r : load_bundle(&l, b);
}

int rules_gather(struct watch *w, const json_t *own, const struct bundle *b, sigma_fault_fn *fault, void *ctx, size_t *ret_files,
    struct sigma_set **ret)
{
    struct sigma_set *set = sigma_set_new(w->names);
    struct loading l = { .set = set, .fault = fault, .ctx = ctx, .files_n = ret_files };
    int r = set ? rules_tables(w, b, set, fault, ctx) : -ENOMEM;

    if (r >= 0) {
        sigma_layer(set, LAYER_OWN);
        r = load_own(&l, own);
    }
    if (r >= 0) {
        sigma_layer(set, LAYER_BUNDLE);
        r = load_bundle(&l, b);
    }
    if (r >= 0) {
        sigma_layer(set, LAYER_FOLDER);
        r = load_folder(l, w->own);
    }
    if (r >= 0) {
        sigma_layer(set, LAYER_SHIPPED);
        r = load_folder(l, w->shipped);
    }
    if (r >= 0)
        r = rules_tune(w, set);
    if (r >= 0)
        r = sigma_link(set, fault, ctx);
    if (r < 0)
        sigma_set_free(set);
    else
        *ret = set;
    return r < 0 ? r : 0;
}

static void switch_off(const struct watch *w, struct sigma_set *set)
{
    size_t i;
    json_t *v;

    json_array_foreach(w->off, i, v)
        if (json_is_string(v))
            (void)!sigma_switch(set, json_string_value(v), false); /* a rule that is not there any more needs no switch */
}

int rules_make(struct watch *w, const struct bundle *b, struct ruleset *ret)
{
    struct sigma_options options = { .zone_s = NORMALISE_ZONE_JST };
    struct ruleset s = { .faults = json_array() };
    uint64_t began = plat_clock_mono_ms();
    int r = s.faults ? rules_gather(w, w->own_rules, b, keep_fault, &s, &s.files_n, &s.set) : -ENOMEM;

    if (r >= 0) {
        switch_off(w, s.set);
        r = sigma_compile(s.set, &options, &s.matcher);
    }
    if (r >= 0 && !(s.scratch = sigma_scratch_new(s.matcher)))
        r = -ENOMEM;
    if (r >= 0)
        r = correlate_new(s.set, w->names, &s.correlate);
    if (r >= 0 && (!(s.hits = calloc(sigma_count(s.set) + 1, sizeof *s.hits)) || !(s.told = calloc(sigma_count(s.set) + 1, sizeof *s.told))))
        r = -ENOMEM;
    if (r < 0) {
        ruleset_wipe(&s);
        return r;
    }
    sm_info("%zu rules of %zu files in %llu ms, %zu could not be loaded", sigma_count(s.set), s.files_n,
        (unsigned long long)(plat_clock_mono_ms() - began), s.faults_n);
    *ret = s;
    return 0;
}

void ruleset_wipe(struct ruleset *r)
{
    correlate_free(r->correlate);
    sigma_scratch_free(r->scratch);
    sigma_matcher_free(r->matcher);
    sigma_set_free(r->set);
    free(r->hits);
    free(r->told);
    json_decref(r->faults);
    *r = (struct ruleset){ 0 };
}

void rules_use(struct watch *w, struct ruleset *r)
{
    rules_hits(w);
    ruleset_wipe(&w->rules);
    w->rules = *r;
    w->set = r->set;
    w->matcher = r->matcher;
    w->scratch = r->scratch;
    w->correlate = r->correlate;
    w->rule_hits = r->hits;
    w->rules_generation++;
    signals_forget(w); /* their numbers meant other rules */
}

int rules_load(struct watch *w)
{
    struct ruleset fresh;
    struct bundle *b = NULL;
    char why[BUNDLE_WHY_MAX] = "";
    int r = bundles_current(w, &b, why);

    if (r == -ENOMEM)
        return r;
    memcpy(w->bundle_fault, why, sizeof why);
    if (r < 0)
        sm_error("the bundle of rules in use cannot be read: %s", why);
    r = rules_make(w, b, &fresh);
    bundle_free(b);
    if (r < 0)
        return r;
    if (why[0])
        fault_file(keep_fault, &fresh, "bundle", why);
    rules_use(w, &fresh);
    w->own_changed = false;
    return 0;
}

void rules_free(struct watch *w)
{
    ruleset_wipe(&w->rules);
    w->set = NULL;
    w->matcher = NULL;
    w->scratch = NULL;
    w->correlate = NULL;
    w->rule_hits = NULL;
}

/* How often each matched since the last time. */
void rules_hits(struct watch *w)
{
    size_t n = w->set ? sigma_count(w->set) : 0;

    for (size_t i = 0; i < n;) {
        json_t *hits = json_array(), *body;
        size_t from = i;
        for (; i < n && json_array_size(hits) < HITS_LOT; i++) {
            const struct sigma_rule *r = sigma_rule_at(w->set, i);
            uint64_t more = w->rules.hits[i] - w->rules.told[i];
            if (more)
                (void)json_array_append_new(hits, json_pack("[s%I]", *r->id ? r->id : r->name, strnlen(*r->id ? r->id : r->name, 80), (json_int_t)more));
        }
        body = json_array_size(hits) ? json_pack("{sO}", "hits", hits) : NULL;
        int r = body ? child_notify_json(w->c, WHO_BRAIN, W_HITS, body) : 0;
        for (size_t k = from; k < i && r >= 0; k++)
            w->rules.told[k] = w->rules.hits[k];
        json_decref(body);
        json_decref(hits);
        if (r < 0)
            return; /* brain is not there: they are told later, if these rules are still in use then */
    }
}
