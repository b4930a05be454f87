/*
 * recover: give files back with nothing but this program, the vault's files and the recovery sheet.
 * No box, no agent, no network.  What proves each step: the manifest's bytes by its name, its signature by the client's
 * key in the journal, the envelope by the sheet's key, everything below by the reader.
 */
#include <errno.h>
#include <unistd.h>
#include "core/json.h"
#include "crypto/kem.h"
#include "plat/fs.h"
#include "plat/clock.h"
#include "sakimori/commands.h"
#include "sakimori/guide.h"
#include "crypto/sheet.h"
#include "sakimori/vaultdir.h"
#include "sakimori/vaultopen.h"
#include "vault/restore/restore.h"
#include "vault/seal/selfkeys.h"
#include "vault/snapshot/envelope.h"

#define GENERATIONS_MAX 65536u

#define ORIGINS_MAX 4096u

/* A source of a machine, as far as the vault knows it. */
struct origin {
    struct store_generation newest, hit;
    char *name;           /* label of the newest generation that has one, "" for none */
    bool self, chosen, fits;
};
struct origins { struct origin *o; size_t n; };

struct recover {
    struct cli *c;
    struct store *st;
    struct store_generation g;
    struct keyring open;
    struct sm_buf manifest;
    json_t *problems;
    uint64_t total;
    struct origins all;
    const char *source, *want;  /* as the person named them, or NULL */
    bool logs;                  /* the record of logs: verified afterwards, which is what is told */
};

/* ---- the list ---- */

static char *label_of(struct store *st, const struct cid *id)
{
    struct sm_buf b = SM_BUF_INIT(MANIFEST_MAX);
    struct manifest m;
    char *label = NULL;
    if (store_manifest(st, id, &b) == 0 && manifest_parse(sm_buf_span(&b), &m) == 0)
        label = strndup((const char *)m.label.p, m.label.n);
    sm_buf_wipe(&b);
    return label ? label : strdup("");
}

static struct origin *origin_of(const struct origins *all, const struct store_generation *g)
{
    for (size_t i = 0; i < all->n; i++)
        if (!memcmp(&all->o[i].newest.source, &g->source, sizeof g->source) &&
            !memcmp(&all->o[i].newest.client, &g->client, sizeof g->client))
            return &all->o[i];
    return NULL;
}

static int origin_see(struct store *st, struct origins *all, const struct store_generation *g)
{
    struct origin *o = origin_of(all, g);
    if (!o && all->n == ORIGINS_MAX)
        return -SM_ELIMIT;
    if (!o) {
        o = &all->o[all->n++];
        *o = (struct origin){ .newest = *g };
    }
    if (o->name && *o->name)
        return 0;
    free(o->name);
    o->name = label_of(st, &g->manifest);
    o->self = o->name && (!strcmp(o->name, SELFKEYS_LABEL) || !strcmp(o->name, SELFKEYS_LOGS_LABEL));
    return o->name ? 0 : -ENOMEM;
}

/* Every source once, the one saved last first. */
static int origins_read(struct cli *c, struct store *st, struct origins *ret)
{
    struct store_query q = { 0 };
    struct store_generation g[64];
    size_t n;
    int r = 0;
    *ret = (struct origins){ .o = calloc(ORIGINS_MAX, sizeof *ret->o) };
    if (!ret->o)
        r = -ENOMEM;
    while (!r && (n = store_generations(st, &q, g, 64)) > 0) {
        for (size_t i = 0; i < n && !r; i++)
            r = origin_see(st, ret, &g[i]);
        q.before_seq = g[n - 1].seq;
    }
    if (r)
        cli_note(c, "%s", sm_errtext(r, c->ja));
    return r ? CLI_FAILED : CLI_OK;
}

static void origins_free(struct origins *all)
{
    for (size_t i = 0; i < all->n; i++)
        free(all->o[i].name);
    free(all->o);
    *all = (struct origins){ 0 };
}

static json_t *row_of(struct store *st, const struct origins *all, const struct store_generation *g)
{
    char id[CID_HEX], source[33], client[33], at[SM_TIME_TEXT];
    struct store_client who = { 0 };
    struct store_generation clean;
    const struct origin *o = origin_of(all, g);
    bool known = !store_recovered(st)->salvaged,
         last = known && store_last_clean(st, &g->client, &g->source, &clean) == 0 && cid_eq(&clean.manifest, &g->manifest);
    cid_hex(&g->manifest, id);
    sm_hex(g->source.b, 16, source);
    sm_hex(g->client.b, 16, client);
    sm_time_rfc3339(g->time, at);
    if (store_client_get(st, &g->client, &who) < 0)
        who.name[0] = 0;
    return json_pack("{s:s,s:s,s:s,s:s,s:s?,s:I,s:s,s:s,s:o,s:b,s:b}", "id", id, "source", source, "client",
        client, "device", who.name, "label", o && o->name ? o->name : "", "number", (json_int_t)g->number, "at", at, "status",
        g->status == RUN_COMPLETE ? "complete" : "partial", "suspicious", known || g->suspicious ? json_boolean(g->suspicious) : json_null(), "damaged", g->damaged,
        "last_clean", last);
}

static int list(struct cli *c, struct store *st, const struct origins *all)
{
    static const struct cli_col cols[] = { { "id", CLI_SHORT, "世代", "Generation" }, { "at", CLI_TIME, "時刻", "At" },
        { "device", CLI_TEXT, "機器", "Machine" }, { "label", CLI_TEXT, "名前", "Name" },
        { "source", CLI_SHORT, "対象", "Source" }, { "number", CLI_TEXT, "番号", "No." },
        { "status", CLI_WORD, "結果", "Status" }, { "suspicious", CLI_YES, "疑い", "Suspicious" },
        { "damaged", CLI_YES, "傷み", "Damaged" }, { "last_clean", CLI_YES, "最後の正常", "Last clean" } };
    struct store_query q = { 0 };
    struct store_generation g[64];
    json_t *items = json_array();
    size_t n;
    while ((n = store_generations(st, &q, g, 64)) > 0 && json_array_size(items) < GENERATIONS_MAX) {
        for (size_t i = 0; i < n; i++)
            json_array_append_new(items, row_of(st, all, &g[i]));
        q.before_seq = g[n - 1].seq;
    }
    json_t *out = json_pack("{s:o}", "items", items);
    if (c->json)
        cli_json(out);
    else
        cli_table(c, items, cols, sizeof cols / sizeof *cols);
    json_decref(out);
    return CLI_OK;
}

/* ---- which generation ---- */

enum fit { FIT_ID, FIT_NAME, FIT_BEGINNING, FIT_WAYS };

static bool origin_fits(const struct origin *o, const char *want, enum fit how)
{
    char id[33];
    sm_hex(o->newest.source.b, 16, id);
    if (how == FIT_NAME)
        return !strcmp(o->name, want);
    return how == FIT_ID ? !strcmp(id, want) : *want && !strncmp(id, want, strlen(want));
}

/* By the whole id, else by the name, else by the beginning of the id: a name that some machine gave hides no id.
 * Whoever names nothing does not mean the box's own, unless he names the generation. */
static void choose(struct origins *all, const char *want, bool any)
{
    size_t n = 0;
    for (size_t i = 0; !want && i < all->n; i++)
        all->o[i].chosen = any || !all->o[i].self;
    for (int how = 0; want && !n && how < FIT_WAYS; how++)
        for (size_t i = 0; i < all->n; i++)
            n += all->o[i].chosen = origin_fits(&all->o[i], want, (enum fit)how);
}

/* The last clean or the newest of each chosen source. */
static size_t pick_standard(struct recover *r, bool clean)
{
    size_t hits = 0;
    for (size_t i = 0; i < r->all.n; i++) {
        struct origin *o = &r->all.o[i];
        o->hit = o->newest;
        o->fits = o->chosen && (!clean || store_last_clean(r->st, &o->newest.client, &o->newest.source, &o->hit) == 0);
        if (o->fits && !hits++)
            r->g = o->hit;
    }
    return hits;
}

static size_t pick_named(struct recover *r, const char *want)
{
    struct store_query q = { 0 };
    struct store_generation g[64];
    char id[CID_HEX];
    size_t n, hits = 0;
    while (strlen(want) >= 8 && (n = store_generations(r->st, &q, g, 64)) > 0) {
        for (size_t i = 0; i < n; i++) {
            struct origin *o = origin_of(&r->all, &g[i]);
            cid_hex(&g[i].manifest, id);
            if (!o || !o->chosen || strncmp(id, want, strlen(want)) != 0)
                continue;
            o->hit = g[i];
            o->fits = true;
            if (!hits++)
                r->g = g[i];
        }
        q.before_seq = g[n - 1].seq;
    }
    return hits;
}

/* Several fit: which, so that the next try can name one. */
static void tell_several(struct recover *r, const char *source)
{
    struct cli *c = r->c;
    if (source)
        cli_note(c, T(c, "対象 %s に当たるものが複数あります。下の番号で、--source を付けてもう一度どうぞ:",
            "several sources are called %s; once more with --source and one of these ids:"), source);
    else
        cli_note(c, T(c, "対象が複数あります。下の名前か番号で、--source を付けて一つずつ戻してください:",
            "there are several sources; restore them one by one, with --source and a name or id of these:"));
    for (size_t i = 0; i < r->all.n; i++) {
        const struct origin *o = &r->all.o[i];
        struct store_client who = { 0 };
        char id[33], at[SM_TIME_TEXT];
        if (!o->fits)
            continue;
        if (store_client_get(r->st, &o->newest.client, &who) < 0)
            who.name[0] = 0;
        sm_hex(o->newest.source.b, 16, id);
        sm_time_rfc3339(o->hit.time, at);
        cli_note(c, "  %s  %s  %s  %s", *o->name ? o->name : T(c, "(名前なし)", "(no name)"), who.name, id, at);
    }
}

static int pick(struct recover *r)
{
    struct cli *c = r->c;
    const char *want = r->want ? r->want : "last-clean", *source = r->source;
    bool clean = !strcmp(want, "last-clean"), latest = !strcmp(want, "latest");
    if (clean && store_recovered(r->st)->salvaged) {
        cli_note(c, T(c, "どれがきれいか分からないので、--list で見て --generation で選んでください",
                        "which generation is clean is not known: look with --list, choose with --generation"));
        return CLI_USAGE;
    }
    choose(&r->all, source, !clean && !latest);
    size_t hits = clean || latest ? pick_standard(r, clean) : pick_named(r, want);
    if (hits == 1)
        return CLI_OK;
    if (source && !hits) {
        cli_note(c, T(c, "対象 %s に、世代 %s は見つかりません。--list で一覧が出ます",
            "source %s has no generation %s; --list shows them"),
            source, want);
        return CLI_NOT_FOUND;
    }
    if (hits && (clean || latest))
        tell_several(r, source);
    else
        cli_note(c, hits ? T(c, "%s に当たる世代が複数あります。--list で見て、番号をもっと長く書いてください",
            "%s: more than one fits; look with --list and write more of the id")
            : T(c, "世代 %s が見つかりません。--list で一覧が出ます", "generation %s: not found; --list shows them"), want);
    return hits ? CLI_USAGE : CLI_NOT_FOUND;
}

/* ---- what the restore engine asks for ---- */

static int get_many(void *arg, const struct cid *cids, size_t n, restore_object_fn fn, void *fn_arg)
{
    struct recover *r = arg;
    struct sm_buf b = SM_BUF_INIT(OBJ_SEALED_MAX);
    for (size_t i = 0; i < n; i++) {
        sm_buf_clear(&b);
        int e = store_object(r->st, &r->g.client, &cids[i], &b);
        fn(fn_arg, i, e == -SM_ENOTFOUND ? -SM_EMISSING : e, e < 0 ? SM_SPAN("", 0) : sm_buf_span(&b));
    }
    sm_buf_wipe(&b);
    return 0;
}

static int file_key(void *arg, const struct cid *envelope, struct file_key *ret)
{
    struct recover *r = arg;
    return vaultopen_file_key(r->st, &r->g.client, &r->open, envelope, ret);
}

static void on_progress(void *arg, const struct restore_progress *p)
{
    struct recover *r = arg;
    cli_progress(r->c, T(r->c, "戻しています", "restore"), p->bytes, r->total, p->now);
}

static void on_problem(void *arg, struct sm_span path, int err, const char *what)
{
    struct recover *r = arg;
    char text[1024];
    (void)snprintf(text, sizeof text, "%.*s", (int)(path.n < 900 ? path.n : 900), (const char *)path.p); /* fits */
    json_t *p = json_stringn((const char *)path.p, path.n);
    if (json_array_size(r->problems) < 1000)
        json_array_append_new(r->problems,
            json_pack("{s:o,s:s,s:s}", "path", p ? p : json_string("?"), "what", what, "error", sm_errname(err)));
    else
        json_decref(p);
    if (!r->c->json)
        cli_problem(r->c, text, err, what);
}

/* ---- all of it ---- */

static int told(struct recover *r, int e, const struct restore_result *v)
{
    struct cli *c = r->c;
    cli_progress_end(c);
    if (c->json && r->logs && e == 0) {
        /* what verification finds is the answer */
    } else if (c->json) {
        json_t *j = json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:O}", "state",
            e == 0                  ? "complete"
                : e == -SM_EPARTIAL ? "partial"
                                    : "failed",
            "files", (json_int_t)v->files, "dirs", (json_int_t)v->dirs, "bytes", (json_int_t)v->bytes, "set_aside",
            (json_int_t)v->set_aside, "skipped", (json_int_t)v->skipped, "problems", r->problems);
        cli_json(j);
        json_decref(j);
    } else if (e == 0 || e == -SM_EPARTIAL) {
        printf(T(c, "ファイル %llu、フォルダー %llu を戻しました。問題 %llu\n", "%llu files and %llu folders restored, %llu problems\n"),
            (unsigned long long)v->files, (unsigned long long)v->dirs, (unsigned long long)v->problems);
    }
    if (e == -SM_ENOTFOUND && !cli_opt(c, "path")) /* no wrap of the envelope is for this key */
        cli_note(c, T(c, "この鍵では開きません。「開く鍵」の24個か(「命令の鍵」では開きません)、この箱の紙かを確かめてください",
            "this key does not open it: are these the 24 words of the key that opens (not of the key for orders), and of "
            "this box's sheet?"));
    else if (e < 0 && e != -SM_EPARTIAL)
        cli_note(c, T(c, "戻せません: %s", "cannot restore: %s"), sm_errtext(e, c->ja));
    if (e == -SM_ENOTFOUND)
        return CLI_NOT_FOUND;
    return e == 0 ? CLI_OK : e == -SM_EPARTIAL ? CLI_PARTIAL : CLI_FAILED;
}

static int restore(struct recover *r, const char *to)
{
    struct cli *c = r->c;
    static struct sm_span paths[CLI_VALUES_MAX];
    const char *existing = cli_opt(c, "existing"), *p;
    struct restore_config config = { .work = -1, .manifest = sm_buf_span(&r->manifest),
        .paths = paths,
        .target = RESTORE_PLACE,
        .place = to,
        .state_dir = -1,
        .sync = true };
    for (size_t i = 0; (p = cli_opt_nth(c, "path", i)) != NULL; i++)
        paths[config.paths_n++] = SM_SPAN_STR(p);
    config.existing = !existing || !strcmp(existing, "aside") ? RESTORE_ASIDE
        : !strcmp(existing, "skip")                           ? RESTORE_SKIP
                                                              : RESTORE_OVERWRITE;
    memcpy(config.id, r->g.manifest.b, sizeof config.id);
    struct restore_source source = { .get_many = get_many, .file_key = file_key, .names_checked = true, .arg = r };
    struct restore_watch watch = { .progress = on_progress, .problem = on_problem, .arg = r };
    struct restore_result v = { 0 };
    struct manifest m;
    struct suspicion_facts f = { 0 };
    if (manifest_parse(sm_buf_span(&r->manifest), &m) == 0 && suspicion_facts_parse(m.facts, &f) == 0 &&
        !config.paths_n)
        r->total = f.bytes;
    r->problems = json_array();
    int e = restore_run(&config, &source, &watch, &v);
    e = told(r, e, &v);
    json_decref(r->problems);
    return e;
}

static uint64_t bytes_of(struct store *st, const struct cid *id)
{
    struct sm_buf b = SM_BUF_INIT(MANIFEST_MAX);
    struct manifest m;
    struct suspicion_facts f = { 0 };
    if (store_manifest(st, id, &b) == 0 && manifest_parse(sm_buf_span(&b), &m) == 0 && suspicion_facts_parse(m.facts, &f) < 0)
        f.bytes = 0;
    sm_buf_wipe(&b);
    return f.bytes < INT64_MAX ? f.bytes : 0;
}

/* What is known without a box: the machine as its generation says, and what the vault has of it.  Whoever builds a machine
 * anew stands before it with this folder. */
static json_t *guide_of(struct recover *r)
{
    struct store_client who = { 0 };
    struct manifest m;
    json_t *facts = NULL, *sources = json_array();
    if (manifest_parse(sm_buf_span(&r->manifest), &m) == 0 && m.facts.n && sm_json_parse(m.facts, MANIFEST_FACTS_MAX, &facts, NULL) < 0)
        facts = NULL;
    if (store_client_get(r->st, &r->g.client, &who) < 0)
        who.name[0] = 0;
    for (size_t i = 0; i < r->all.n && json_array_size(sources) < 64; i++) {
        const struct origin *o = &r->all.o[i];
        char id[33], at[SM_TIME_TEXT];
        if (memcmp(&o->newest.client, &r->g.client, sizeof r->g.client) != 0)
            continue;
        sm_hex(o->newest.source.b, 16, id);
        sm_time_rfc3339(o->newest.time, at);
        json_array_append_new(sources, json_pack("{s:s,s:s,s:s,s:I}", "name", *o->name ? o->name : id, "kind", "",
            "at", at, "bytes", (json_int_t)bytes_of(r->st, &o->newest.manifest)));
    }
    json_t *out = json_pack("{s:{s:s},s:O?,s:o}", "device", "name", who.name, "machine", json_object_get(facts, "machine"), "sources", sources);
    json_decref(facts);
    return out;
}

static void leave_guide(struct recover *r, const char *to)
{
    json_t *g = guide_of(r);
    int e = g ? guide_write(r->c, to, g) : -ENOMEM;
    if (e)
        cli_note(r->c, "%s/" GUIDE_FILE ": %s", to, sm_errtext(e, r->c->ja));
    else if (!r->c->json)
        cli_note(r->c, T(r->c, "機器を建て直す手順: %s/" GUIDE_FILE, "how to build the machine anew: %s/" GUIDE_FILE), to);
    json_decref(g);
}

static int check_line(struct cli *c)
{
    const char *existing = cli_opt(c, "existing"), *to = cli_opt(c, "to");
    if (!cli_flag(c, "list") && !to) {
        cli_note(c, T(c, "--to DIR(戻す場所)か --list", "--to DIR (where to restore to), or --list"));
        return CLI_USAGE;
    }
    if (existing && strcmp(existing, "aside") && strcmp(existing, "skip") && strcmp(existing, "overwrite")) {
        cli_note(c, T(c, "--existing は aside, skip, overwrite", "--existing: aside, skip or overwrite"));
        return CLI_USAGE;
    }
    return CLI_OK;
}

/* The absolute path of --to, made if it is missing. */
static char *place_of(struct cli *c, const char *to)
{
    int r = plat_fs_mkdir_p(to, 0700);
    char *full = r < 0 ? NULL : realpath(to, NULL);
    if (!full)
        cli_note(c, "%s: %s", to, sm_errtext(r < 0 ? r : -errno, c->ja));
    return full;
}

/* Pick, open, restore.  ret_to: where it is, the caller's; NULL after an error. */
static int go(struct recover *r, const char *to, char **ret_to)
{
    struct cli *c = r->c;
    int e = pick(r);
    if (e == CLI_OK)
        e = vaultopen_manifest(c, r->st, &r->g, &r->manifest);
    if (e == CLI_OK)
        e = vaultopen_sheet(c, r->st, &r->open);
    char *full = e == CLI_OK ? place_of(c, to) : NULL;
    if (e == CLI_OK)
        e = full ? restore(r, full) : CLI_FAILED;
    *ret_to = full;
    return e;
}

static void recover_free(struct recover *r)
{
    keyring_wipe(&r->open);
    sm_buf_wipe(&r->manifest);
    origins_free(&r->all);
    store_close(r->st);
}

/* The record of logs out of a vault or a copy: the newest generation of that source, and is it as it was written? */
int cmd_logs_restore(struct cli *c)
{
    struct recover r = { .c = c, .manifest = SM_BUF_INIT(MANIFEST_MAX), .source = cli_opt(c, "source"), .want = cli_opt(c, "generation"), .logs = true };
    char *to = NULL, dir[4200];
    int e = vaultdir_open(c, &r.st);
    if (e != CLI_OK)
        return e;
    r.source = r.source ? r.source : SELFKEYS_LOGS_LABEL;
    r.want = r.want ? r.want : "latest";
    e = origins_read(c, r.st, &r.all);
    if (e == CLI_OK)
        e = go(&r, cli_arg(c, 0), &to);
    if (to && e == CLI_OK) {
        int n = snprintf(dir, sizeof dir, "%s/journal", to);
        e = n > 0 && (size_t)n < sizeof dir ? evidence_verify_dir(c, dir) : CLI_FAILED;
        if (!c->json && (e == CLI_OK || e == CLI_FAILED))
            printf(T(c, "ログの記録: %s(さがす: sakimori journal search %s 'ことば')\n",
                "the record of logs: %s (to search it: sakimori journal search %s WORDS)\n"), dir, dir);
    }
    free(to);
    recover_free(&r);
    return e;
}

int cmd_recover(struct cli *c)
{
    struct recover r = { .c = c, .manifest = SM_BUF_INIT(MANIFEST_MAX), .source = cli_opt(c, "source"), .want = cli_opt(c, "generation") };
    int e = check_line(c);
    if (e == CLI_OK)
        e = vaultdir_open(c, &r.st);
    if (e != CLI_OK)
        return e;
    e = origins_read(c, r.st, &r.all);
    if (cli_flag(c, "list")) {
        e = e == CLI_OK ? list(c, r.st, &r.all) : e;
        origins_free(&r.all);
        store_close(r.st);
        return e;
    }
    char *to = NULL;
    if (e == CLI_OK)
        e = go(&r, cli_opt(c, "to"), &to);
    if (to && (e == CLI_OK || e == CLI_PARTIAL))
        leave_guide(&r, to);
    free(to);
    recover_free(&r);
    return e;
}
