#include "sakimori-agent/judge/rules.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "detect/correlate/correlate.h"
#include "normalise/normalise.h"
#include "plat/fs.h"

enum { DEPTH_MAX = 8, FILES_MAX = 5000, NAME_BYTES = 600, ZONE_S = 9 * 3600, STREAMS_MAX = 16 /* logs of a machine */ };

struct rules_stream {
    char name[64];
    struct normalise_state *state;
};

struct rules {
    struct event_names *names;
    struct normalise *normalise;
    struct normalise_hint hint;
    struct sigma_set *set;
    struct sigma_matcher *matcher;
    struct sigma_scratch *scratch;
    struct correlate *correlate;
    struct event event;
    size_t files, faults, usable;
    uint64_t events, hits, ref;
    rules_hit_fn *hit; /* of the call under way */
    void *ctx;
    int err;
    struct rules_stream stream[STREAMS_MAX];
    size_t stream_n;
};

static void on_fault(void *ctx, const struct sigma_fault *f)
{
    struct rules *r = ctx;
    (void)f;
    r->faults++;
}

/* ---- loading ---- */

struct loading {
    struct rules *r;
    int dir;
    unsigned depth;
    bool tables;
    char path[NAME_BYTES];
};

static bool ends(const char *name, const char *with)
{
    size_t n = strlen(name), k = strlen(with);
    return n > k && strcmp(name + n - k, with) == 0;
}

static int load_file(struct loading *l, const char *name, const char *path)
{
    struct rules *r = l->r;
    struct sm_buf text = SM_BUF_INIT(SIGMA_TEXT_MAX);
    struct sigma_fault fault = {.file = path};
    int e = plat_fs_read_file(l->dir, name, SIGMA_TEXT_MAX, &text);
    if (e) {
        r->faults++;
        e = e == -ENOMEM ? e : 0;
    } else if (l->tables) {
        e = sigma_sources(r->set, path, sm_buf_span(&text), &fault);
        r->faults += e < 0;
        e = e == -ENOMEM ? e : 0;
    } else if (strstr(sm_buf_str(&text), "linux")) {
        r->files++;
        e = sigma_add(r->set, path, sm_buf_span(&text), on_fault, r);
        e = e == -ENOMEM ? e : 0;
    }
    sm_buf_wipe(&text);
    return e;
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
    if (type == DT_DIR && l->depth < DEPTH_MAX && strcmp(text, "tests") != 0) {
        struct loading below = *l;
        below.depth++;
        memcpy(below.path, path, sizeof path);
        below.dir = plat_fs_open_dir(l->dir, text);
        if (below.dir < 0)
            return 0;
        int e = load_dir(&below);
        close(below.dir);
        return e;
    }
    bool table = strcmp(text, "logsources.yml") == 0;
    if (type != DT_REG || !(ends(text, ".yml") || ends(text, ".yaml")) || table != l->tables || l->r->files >= FILES_MAX)
        return 0;
    return load_file(l, text, path);
}

static int load_dir(struct loading *l)
{
    int again = openat(l->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* a position of its own */
    int e = again < 0 ? -errno : plat_fs_list(again, on_name, l);
    if (again >= 0)
        close(again);
    return e;
}

static int load_all(struct rules *r, const char *const *folders, size_t n, bool tables)
{
    int e = 0;
    for (size_t i = 0; i < n && !e; i++) {
        struct loading l = {.r = r, .tables = tables};
        l.dir = plat_fs_open_dir(AT_FDCWD, folders[i]);
        if (l.dir < 0)
            continue;
        e = load_dir(&l);
        close(l.dir);
    }
    return e;
}

/* Rules of other products stand in the same files: they are not compiled. */
static void only_linux(struct rules *r)
{
    for (size_t i = 0; i < sigma_count(r->set); i++) {
        const struct sigma_rule *rule = sigma_rule_at(r->set, i);
        bool other = rule->kind == SIGMA_RULE && rule->product[0] && strcmp(rule->product, "linux") != 0;
        if (other && sigma_switch(r->set, rule->id[0] ? rule->id : rule->name, false) == 0)
            continue;
        r->usable += rule->kind == SIGMA_RULE && !rule->off && !rule->broken && !rule->replaced;
    }
}

static int make(struct rules *r, const char *const *folders, size_t n)
{
    const struct sigma_options options = {.zone_s = ZONE_S, .plain = true};
    r->names = event_names_new();
    r->set = r->names ? sigma_set_new(r->names) : NULL;
    int e = r->set ? event_init(&r->event) : -ENOMEM;
    if (!e)
        e = load_all(r, folders, n, true);
    if (!e)
        e = load_all(r, folders, n, false);
    if (!e)
        e = sigma_link(r->set, on_fault, r);
    if (!e)
        only_linux(r);
    if (!e)
        e = sigma_compile(r->set, &options, &r->matcher);
    if (!e)
        e = (r->scratch = sigma_scratch_new(r->matcher)) ? 0 : -ENOMEM;
    if (!e)
        e = correlate_new(r->set, r->names, &r->correlate);
    return e ? e : normalise_new(r->names, &r->normalise);
}

int rules_load(const char *const *folders, size_t n, struct rules **ret)
{
    struct rules *r = calloc(1, sizeof *r);
    int e = r ? make(r, folders, n) : -ENOMEM;
    if (e) {
        rules_free(r);
        return e;
    }
    r->hint = NORMALISE_HINT;
    r->hint.format = "endpoint";
    r->hint.encoding = "utf-8";
    *ret = r;
    return 0;
}

void rules_free(struct rules *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->stream_n; i++)
        normalise_state_free(r->stream[i].state);
    normalise_free(r->normalise);
    correlate_free(r->correlate);
    sigma_scratch_free(r->scratch);
    sigma_matcher_free(r->matcher);
    sigma_set_free(r->set);
    event_wipe(&r->event);
    event_names_free(r->names);
    free(r);
}

/* ---- events ---- */

static void on_correlation(void *ctx, const struct correlate_hit *hit)
{
    struct rules *r = ctx;
    if (hit->rule->correlated)
        return;
    r->hits++;
    r->hit(r->ctx, hit->rule, hit->event);
}

static void on_hit(void *ctx, const struct sigma_rule *rule, const struct event *e)
{
    struct rules *r = ctx;
    const struct sigma_rule *feeds;
    if (sigma_feeds(r->set, rule, &feeds, 1) && correlate_add(r->correlate, rule, e, ++r->ref, on_correlation, r) == -ENOMEM)
        r->err = -ENOMEM;
    if (rule->correlated)
        return;
    r->hits++;
    r->hit(r->ctx, rule, e);
}

static int match(struct rules *r, rules_hit_fn *hit, void *ctx)
{
    r->events++;
    r->hit = hit;
    r->ctx = ctx;
    r->err = 0;
    int e = sigma_match(r->matcher, r->scratch, &r->event, on_hit, r);
    return e < 0 ? e : r->err;
}

int rules_line(struct rules *r, struct sm_span line, struct event_time now, rules_hit_fn *hit, void *ctx)
{
    int e = normalise_record(r->normalise, &r->hint, line, now, &r->event);
    if (e == -ENOMEM)
        return e;
    if (e || (r->event.notes & EVENT_UNPARSED))
        return 1;
    return match(r, hit, ctx);
}

static struct rules_stream *stream_of(struct rules *r, const char *name)
{
    size_t i = 0;
    while (i < r->stream_n && strcmp(r->stream[i].name, name) != 0)
        i++;
    if (i == r->stream_n) {
        if (i == STREAMS_MAX || !(r->stream[i].state = normalise_state_new()))
            return NULL;
        snprintf(r->stream[i].name, sizeof r->stream[i].name, "%s", name);
        r->stream_n++;
    }
    return &r->stream[i];
}

int rules_log(struct rules *r, const char *log, const char *format, struct sm_span record, struct event_time seen, rules_hit_fn *hit,
    void *ctx)
{
    struct rules_stream *s = stream_of(r, log);
    struct normalise_hint hint = NORMALISE_HINT;
    if (!s)
        return -SM_ELIMIT;
    hint.format = format && normalise_knows_format(format) ? format : NULL;
    hint.state = s->state;
    int e = normalise_record(r->normalise, &hint, record, seen, &r->event);
    return e ? e : match(r, hit, ctx);
}

void rules_tick(struct rules *r, struct event_time now, rules_hit_fn *hit, void *ctx)
{
    r->hit = hit;
    r->ctx = ctx;
    (void)!correlate_tick(r->correlate, now, on_correlation, r); /* without memory: with the next one */
}

void rules_counts(const struct rules *r, struct rules_counts *ret)
{
    *ret = (struct rules_counts){.rules = r->usable, .faults = r->faults, .events = r->events, .hits = r->hits};
}

struct sm_span rules_value(const struct rules *r, const struct event *e, const char *name)
{
    uint16_t n = event_names_find(r->names, SM_SPAN_STR(name));
    return n ? event_text(e, n) : SM_SPAN(NULL, 0);
}
