/* rules check, rules list, rules test: rules on files, without a box. */
#include "sakimori/rules.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "sakimori/commands.h"

#define NEAR_SHOWN 3 /* events of the right log source that miss, shown without --all */
static const char *const level_names[] = { "", "informational", "low", "medium", "high", "critical" };

/* ---- loading ---- */

static void on_fault(void *ctx, const struct sigma_fault *f)
{
    struct rules *r = ctx;

    json_array_append_new(
        r->faults, json_pack("{s:s,s:i,s:s}", "file", f->file ? f->file : "", "line", (int)f->line, "why", f->why));
    if (r->c->json)
        return;
    if (f->line)
        cli_note(r->c, "%s:%u: %s", f->file, f->line, f->why);
    else
        cli_note(r->c, "%s: %s", f->file, f->why);
}

/* The table: as said; beside the rules; installed. */
static char *find_sources(const struct cli *c, const char *const *path, size_t n)
{
    const char *said = cli_opt(c, "sources");
    char *found = NULL;

    if (said)
        return strdup(said);
    for (size_t i = 0; i <= n; i++) {
        const char *dir = i < n ? path[i] : SAKIMORI_DATADIR "/rules";
        if (asprintf(&found, "%s/logsources.yml", dir) < 0)
            return NULL;
        if (access(found, R_OK) == 0)
            return found;
        free(found);
    }
    return NULL;
}

static int open_sources(struct cli *c, struct rules *r, const char *const *path, size_t n)
{
    struct sigma_fault f = { 0 };
    char *sources = find_sources(c, path, n);

    if (!sources) {
        cli_note(c, T(c,
                        "注意: ログの種類の表(logsources.yml)がありません。--sources "
                        "で場所を。今は製品・種類・サービスの言葉だけで探します。",
                        "note: no table of log sources (logsources.yml); say where with --sources.  Log sources are "
                        "found by their words alone."));
        return CLI_OK;
    }
    int e = load_sources(r->set, sources, &f);
    if (e < 0 && f.why[0])
        on_fault(r, &f);
    else if (e < 0)
        cli_note(c, T(c, "%s を読めません: %s", "cannot read %s: %s"), sources, cli_why(c, e, ""));
    free(sources);
    if (e >= 0 && sigma_list(r->set, "known_places", "-") < 0) /* the box knows them by a setting; here there are none */
        e = -ENOMEM;
    if (e < 0 || !cli_opt(c, "lists"))
        return e < 0 ? CLI_USAGE : CLI_OK;
    e = load_lists(r->set, cli_opt(c, "lists"), &f);
    if (e < 0 && f.why[0])
        on_fault(r, &f);
    else if (e < 0)
        cli_note(c, T(c, "%s を読めません: %s", "cannot read %s: %s"), cli_opt(c, "lists"), cli_why(c, e, ""));
    return e < 0 ? CLI_USAGE : CLI_OK;
}

int rules_open(struct cli *c, const char *const *path, size_t n, struct rules *r)
{
    *r = (struct rules){ .c = c, .names = event_names_new(), .faults = json_array() };
    r->set = r->names ? sigma_set_new(r->names) : NULL;
    if (!r->set || !r->faults) {
        cli_note(c, T(c, "メモリが足りません", "out of memory"));
        return CLI_FAILED;
    }
    int e = open_sources(c, r, path, n);
    for (size_t i = 0; i < n && e == CLI_OK; i++) {
        int err = load_rules(r->set, path[i], on_fault, r, &r->counts);
        if (err < 0)
            cli_note(c, T(c, "%s を読めません: %s", "cannot read %s: %s"), path[i], cli_why(c, err, ""));
        e = err < 0 ? CLI_NOT_FOUND : CLI_OK;
    }
    if (e == CLI_OK && sigma_link(r->set, on_fault, r) < 0)
        e = CLI_FAILED;
    return e;
}

void rules_close(struct rules *r)
{
    sigma_set_free(r->set);
    event_names_free(r->names);
    json_decref(r->faults);
}

static void paths_of(struct cli *c, const char **path, size_t n)
{
    for (size_t i = 0; i < n; i++)
        path[i] = cli_arg(c, i);
}

/* ---- rules check ---- */

static size_t waiting(const struct rules *r, json_t *list)
{
    size_t n = 0;

    for (size_t i = 0; i < sigma_count(r->set); i++) {
        const struct sigma_rule *rule = sigma_rule_at(r->set, i);
        if (!*rule->waits)
            continue;
        n++;
        json_array_append_new(
            list, json_pack("{s:s,s:s,s:s}", "id", rule->id, "title", rule->title, "list", rule->waits));
    }
    return n;
}

static int say_check(struct cli *c, struct rules *r, const struct sigma_size *z)
{
    size_t kind[3] = { 0 };
    json_t *waits = json_array();
    size_t n = waiting(r, waits);

    for (size_t i = 0; i < sigma_count(r->set); i++)
        kind[sigma_rule_at(r->set, i)->kind]++;
    if (c->json) {
        json_t *j = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:O,s:O}", "files", (json_int_t)r->counts.files, "rules",
            (json_int_t)kind[SIGMA_RULE], "filters", (json_int_t)kind[SIGMA_FILTER], "correlations",
            (json_int_t)kind[SIGMA_CORRELATION], "databases", (json_int_t)z->databases, "bytes", (json_int_t)z->bytes,
            "faults", r->faults, "waiting", waits);
        cli_json(j);
        json_decref(j);
    } else {
        printf(T(c, "ファイル %zu、ルール %zu、絞り込み %zu、相関 %zu、誤り %zu、一覧を待つルール %zu\n",
                   "%zu files, %zu rules, %zu filters, %zu correlations, %zu faults, %zu rules waiting for a list\n"),
            r->counts.files, kind[SIGMA_RULE], kind[SIGMA_FILTER], kind[SIGMA_CORRELATION], json_array_size(r->faults),
            n);
    }
    json_decref(waits);
    return json_array_size(r->faults) ? CLI_FAILED : CLI_OK;
}

int cmd_rules_check(struct cli *c)
{
    const char *path[CLI_VALUES_MAX];
    struct rules r;
    struct sigma_matcher *m = NULL;
    struct sigma_size z;

    paths_of(c, path, c->line.args);
    int e = rules_open(c, path, c->line.args, &r);
    if (e == CLI_OK && sigma_compile(r.set, NULL, &m) < 0) {
        cli_note(c, T(c, "ルールをまとめられません", "the rules do not compile"));
        e = CLI_FAILED;
    }
    if (e == CLI_OK) {
        sigma_matcher_size(m, &z);
        e = say_check(c, &r, &z);
    }
    sigma_matcher_free(m);
    rules_close(&r);
    return e;
}

/* ---- rules list ---- */

static json_t *row_of(const struct cli *c, const struct sigma_rule *rule)
{
    static const char *const kinds[] = { "rule", "filter", "correlation" };
    struct sm_buf source = SM_BUF_INIT(4096), file = SM_BUF_INIT(8192);
    const char *title = c->ja && *rule->title_ja ? rule->title_ja : rule->title;

    (void)!sm_buf_printf(
        &source, "%s/%s/%s", rule->product, rule->category, rule->service); /* cut short when it is too long */
    (void)!sm_buf_printf(&file, "%s:%u", rule->file, rule->line);
    json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:s}", "id", *rule->id ? rule->id : rule->name, "kind",
        kinds[rule->kind], "level", level_names[rule->level], "title", title, "author", rule->author, "status",
        rule->status, "source", source.n ? sm_buf_str(&source) : "", "file", file.n ? sm_buf_str(&file) : "", "waits",
        rule->waits);
    sm_buf_wipe(&source);
    sm_buf_wipe(&file);
    return j;
}

int cmd_rules_list(struct cli *c)
{
    static const struct cli_col cols[] = { { "id", CLI_TEXT, "番号", "Id" }, { "level", CLI_TEXT, "重さ", "Level" },
        { "kind", CLI_TEXT, "種類", "Kind" }, { "source", CLI_TEXT, "ログ", "Log source" },
        { "title", CLI_TEXT, "内容", "Title" }, { "author", CLI_TEXT, "作者", "Author" } };
    const char *path[CLI_VALUES_MAX];
    struct rules r;
    json_t *rows = json_array();

    paths_of(c, path, c->line.args);
    int e = rules_open(c, path, c->line.args, &r);
    for (size_t i = 0; e == CLI_OK && i < sigma_count(r.set); i++)
        json_array_append_new(rows, row_of(c, sigma_rule_at(r.set, i)));
    if (e == CLI_OK && c->json) {
        json_t *j = json_pack("{s:O}", "items", rows);
        cli_json(j);
        json_decref(j);
    } else if (e == CLI_OK) {
        cli_table(c, rows, cols, sizeof cols / sizeof *cols);
    }
    json_decref(rows);
    rules_close(&r);
    return e;
}

/* ---- rules test ---- */

struct test {
    struct cli *c;
    struct rules *r;
    struct sigma_matcher *m;
    struct sigma_scratch *s;
    struct correlate *correlate;
    json_t *events, *correlations, *lines;
    uint64_t total, matched, near;
    const char *file;
    uint64_t record;
    bool placed; /* the log source fits */
};

static void on_line(void *ctx, const struct sigma_line *l)
{
    struct test *t = ctx;

    t->placed |= l->truth && !strcmp(l->what, "log source");
    json_array_append_new(
        t->lines, json_pack("{s:i,s:b,s:s,s:s,s:s%,s:b,s:s}", "depth", (int)l->depth, "truth", (int)l->truth, "what",
                      l->what, "want", l->want, "have", l->have.p ? (const char *)l->have.p : "", l->have.n, "absent",
                      (int)l->absent, "field", l->field));
}

static void print_text(const char *text)
{
    cli_text(stdout, text);
}

static void print_line(const struct cli *c, const json_t *l)
{
    const char *want = cli_str(l, "want"), *have = cli_str(l, "have"), *field = cli_str(l, "field");
    int depth = (int)json_integer_value(json_object_get(l, "depth"));

    printf("  %*s%s ", 2 * depth, "", json_is_true(json_object_get(l, "truth")) ? "○" : "×");
    print_text(cli_str(l, "what"));
    if (*field) {
        printf(" (%s ", T(c, "この記録では", "here"));
        print_text(field);
        putchar(')');
    }
    if (*want) {
        printf(": ");
        print_text(want);
        if (json_is_true(json_object_get(l, "absent")) && strcmp(cli_str(l, "what"), "log source"))
            printf(" ← %s", T(c, "その項目がない", "no such field"));
        else if (strcmp(cli_str(l, "what"), "log source")) {
            printf(" ← \"");
            print_text(have);
            putchar('"');
        }
    }
    putchar('\n');
}

static void show(struct test *t, const struct sigma_rule *rule, const struct event *e, bool match)
{
    char text[SM_TIME_TEXT] = "";
    size_t i;
    const json_t *l;

    if (t->c->json) {
        json_array_append_new(
            t->events, json_pack("{s:s,s:I,s:I,s:s,s:s,s:s,s:b,s:O}", "file", t->file, "record", (json_int_t)t->record,
                           "time_s", (json_int_t)e->time.s, "rule", *rule->id ? rule->id : rule->name, "title",
                           rule->title, "author", rule->author, "match", (int)match, "lines", t->lines));
        return;
    }
    sm_time_rfc3339((struct sm_time){ e->time.s, e->time.ns }, text);
    printf("%s %s ", match ? T(t->c, "当たり", "match") : T(t->c, "外れ", "miss"), text);
    print_text(t->file);
    printf(":%" PRIu64 "  ", t->record);
    print_text(rule->title);
    if (*rule->author) {
        printf(" (%s ", T(t->c, "作者", "by"));
        print_text(rule->author);
        putchar(')');
    }
    putchar('\n');
    json_array_foreach(t->lines, i, l) print_line(t->c, l);
}

static void on_correlated(void *ctx, const struct correlate_hit *h)
{
    struct test *t = ctx;
    json_t *group = json_object();

    for (size_t i = 0; i < h->group_n; i++)
        json_object_set_new(
            group, h->group_name[i], json_stringn((const char *)h->group_value[i].p, h->group_value[i].n));
    if (t->c->json) {
        json_array_append_new(
            t->correlations, json_pack("{s:s,s:s,s:f,s:I,s:I,s:O}", "rule", *h->rule->id ? h->rule->id : h->rule->name,
                                 "title", h->rule->title, "value", h->value, "first_s", (json_int_t)h->first.s,
                                 "last_s", (json_int_t)h->last.s, "group", group));
    } else {
        char first[SM_TIME_TEXT] = "", last[SM_TIME_TEXT] = "",
             *text = json_dumps(group, JSON_COMPACT | JSON_PRESERVE_ORDER);
        sm_time_rfc3339((struct sm_time){ h->first.s, h->first.ns }, first);
        sm_time_rfc3339((struct sm_time){ h->last.s, h->last.ns }, last);
        printf("%s %s … %s  ", T(t->c, "相関", "correlation"), first, last);
        print_text(h->rule->title);
        printf(": %g ", h->value);
        print_text(text ? text : "");
        putchar('\n');
        free(text);
    }
    json_decref(group);
}

static int one_rule(struct test *t, const struct sigma_rule *rule, const struct event *e)
{
    json_array_clear(t->lines);
    json_decref(t->lines);
    t->lines = json_array();
    t->placed = false;
    int match = sigma_explain(t->m, t->s, rule, e, on_line, t);
    if (match < 0)
        return match;
    t->matched += match > 0;
    if (match || cli_flag(t->c, "all") || (t->placed && t->near++ < NEAR_SHOWN))
        show(t, rule, e, match > 0);
    return match ? correlate_add(t->correlate, rule, e, t->total, on_correlated, t) : 0;
}

static int on_event(void *ctx, const char *file, uint64_t record, const struct event *e)
{
    struct test *t = ctx;
    int r = 0;

    t->file = file;
    t->record = record;
    t->total++;
    for (size_t i = 0; i < sigma_count(t->r->set) && r >= 0; i++)
        if (sigma_rule_at(t->r->set, i)->kind == SIGMA_RULE)
            r = one_rule(t, sigma_rule_at(t->r->set, i), e);
    return r;
}

static int run_test(struct test *t)
{
    int r = sigma_compile(t->r->set, NULL, &t->m);

    if (r == 0)
        r = correlate_new(t->r->set, t->r->names, &t->correlate);
    t->s = r == 0 ? sigma_scratch_new(t->m) : NULL;
    if (r == 0 && !t->s)
        r = -ENOMEM;
    for (size_t i = 1; i < t->c->line.args && r >= 0; i++) {
        r = rules_log(t->c, t->r->names, cli_arg(t->c, i), on_event, t);
        if (r < 0)
            cli_note(t->c, T(t->c, "%s を読めません: %s", "cannot read %s: %s"), cli_arg(t->c, i), cli_why(t->c, r, ""));
    }
    if (r >= 0)
        r = correlate_tick(t->correlate, (struct event_time){ .s = INT64_MAX / 4 }, on_correlated, t);
    return r == -ENOENT || r == -SM_ENOTFOUND ? CLI_NOT_FOUND : r < 0 ? CLI_FAILED : CLI_OK;
}

static int say_test(struct test *t)
{
    if (t->c->json) {
        json_t *j = json_pack("{s:I,s:I,s:O,s:O,s:O}", "events", (json_int_t)t->total, "matches",
            (json_int_t)t->matched, "explained", t->events, "correlations", t->correlations, "faults", t->r->faults);
        cli_json(j);
        json_decref(j);
    } else {
        printf(T(t->c, "記録 %" PRIu64 "、当たり %" PRIu64 "\n", "%" PRIu64 " events, %" PRIu64 " matches\n"), t->total,
            t->matched);
        if (t->near > NEAR_SHOWN && !cli_flag(t->c, "all"))
            printf(T(t->c, "ログの種類は合うが外れた記録がほかに %" PRIu64 "(--all で全部)\n",
                       "%" PRIu64 " more of the right log source missed (--all shows them)\n"),
                t->near - NEAR_SHOWN);
    }
    return t->matched ? CLI_OK : CLI_NOT_FOUND;
}

int cmd_rules_test(struct cli *c)
{
    const char *path[1] = { cli_arg(c, 0) };
    struct rules r;
    struct test t = { .c = c, .r = &r, .events = json_array(), .correlations = json_array(), .lines = json_array() };
    int e = rules_open(c, path, 1, &r);

    if (e == CLI_OK && json_array_size(r.faults) && !sigma_count(r.set))
        e = CLI_USAGE;
    if (e == CLI_OK)
        e = run_test(&t);
    if (e == CLI_OK)
        e = say_test(&t);
    correlate_free(t.correlate);
    sigma_scratch_free(t.s);
    sigma_matcher_free(t.m);
    json_decref(t.events);
    json_decref(t.correlations);
    json_decref(t.lines);
    rules_close(&r);
    return e;
}
