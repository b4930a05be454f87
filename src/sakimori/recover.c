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

struct recover {
    struct cli *c;
    struct store *st;
    struct store_generation g;
    struct keyring open;
    struct sm_buf manifest;
    json_t *problems;
    uint64_t total;
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

static json_t *row_of(struct store *st, const struct store_generation *g)
{
    char id[CID_HEX], source[33], client[33], at[SM_TIME_TEXT];
    struct store_client who = { 0 };
    struct store_generation clean;
    bool known = !store_recovered(st)->salvaged, last = known && store_last_clean(st, &g->client, &g->source, &clean) == 0 && cid_eq(&clean.manifest, &g->manifest);
    cid_hex(&g->manifest, id);
    sm_hex(g->source.b, 16, source);
    sm_hex(g->client.b, 16, client);
    sm_time_rfc3339(g->time, at);
    if (store_client_get(st, &g->client, &who) < 0)
        who.name[0] = 0;
    char *label = label_of(st, &g->manifest);
    json_t *j = json_pack("{s:s,s:s,s:s,s:s,s:s?,s:I,s:s,s:s,s:o,s:b,s:b}", "id", id, "source", source, "client",
        client, "device", who.name, "label", label, "number", (json_int_t)g->number, "at", at, "status",
        g->status == RUN_COMPLETE ? "complete" : "partial", "suspicious", known || g->suspicious ? json_boolean(g->suspicious) : json_null(), "damaged", g->damaged,
        "last_clean", last);
    free(label);
    return j;
}

static int list(struct cli *c, struct store *st)
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
            json_array_append_new(items, row_of(st, &g[i]));
        q.before_seq = g[n - 1].seq;
    }
    json_t *all = json_pack("{s:o}", "items", items);
    if (c->json)
        cli_json(all);
    else
        cli_table(c, items, cols, sizeof cols / sizeof *cols);
    json_decref(all);
    return CLI_OK;
}

/* ---- which generation ---- */

struct picking { const char *want, *source; size_t hits; bool clean, latest; };

/* By its number or the beginning of it, or by the name that its generations carry. */
static bool source_fits(struct store *st, const char *want, const char *number, const struct cid *manifest)
{
    if (!strncmp(number, want, strlen(want)))
        return true;
    char *label = label_of(st, manifest);
    bool same = label && !strcmp(label, want);
    free(label);
    return same;
}

/* The box's own: not what somebody means who names nothing. */
static bool is_self(struct store *st, const struct store_generation *g)
{
    char *label = label_of(st, &g->manifest);
    bool is = label && !strcmp(label, SELFKEYS_LABEL);
    free(label);
    return is;
}

static bool picked(struct store *st, const struct picking *p, const struct store_generation *g)
{
    char id[CID_HEX], source[33];
    struct store_generation last;
    cid_hex(&g->manifest, id);
    sm_hex(g->source.b, 16, source);
    if (p->source && !source_fits(st, p->source, source, &g->manifest))
        return false;
    if (p->clean)
        return store_last_clean(st, &g->client, &g->source, &last) == 0 && cid_eq(&last.manifest, &g->manifest);
    return p->latest || (strlen(p->want) >= 8 && !strncmp(id, p->want, strlen(p->want)));
}

static bool fits(struct store *st, const struct picking *p, const struct store_generation *g)
{
    return picked(st, p, g) && (p->source || !(p->clean || p->latest) || !is_self(st, g));
}

/* latest: the first of each source, newest first, so a second hit counts only when it is of another source. */
static int pick(struct recover *r)
{
    struct cli *c = r->c;
    const char *want = cli_opt(c, "generation");
    struct picking p = { .want = want ? want : "last-clean", .source = cli_opt(c, "source") };
    struct store_query q = { 0 };
    struct store_generation g[64];
    size_t n;
    p.clean = !strcmp(p.want, "last-clean");
    p.latest = !strcmp(p.want, "latest");
    if (p.clean && store_recovered(r->st)->salvaged) {
        cli_note(c, T(c, "どれがきれいか分からないので、--list で見て --generation で選んでください",
                        "which generation is clean is not known: look with --list, choose with --generation"));
        return CLI_USAGE;
    }
    while ((n = store_generations(r->st, &q, g, 64)) > 0) {
        for (size_t i = 0; i < n; i++) {
            bool same = p.hits && !memcmp(&g[i].source, &r->g.source, sizeof g[i].source);
            if (!fits(r->st, &p, &g[i]) || (p.latest && same))
                continue;
            if (!p.hits++)
                r->g = g[i];
        }
        q.before_seq = g[n - 1].seq;
    }
    if (p.hits == 1)
        return CLI_OK;
    if (p.source && !p.hits) {
        cli_note(c, T(c, "対象 %s に、世代 %s は見つかりません。--list で一覧が出ます",
            "source %s has no generation %s; --list shows them"),
            p.source, p.want);
        return CLI_NOT_FOUND;
    }
    cli_note(c, p.hits ? T(c, "%s に当たる世代が複数あります。--list で見て、--source か --generation で選んでください",
        "%s: more than one fits; look with --list, choose with --source or --generation")
        : T(c, "世代 %s が見つかりません。--list で一覧が出ます", "generation %s: not found; --list shows them"), p.want);
    return p.hits ? CLI_USAGE : CLI_NOT_FOUND;
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
        cli_note(r->c, "%s: %s (%s)", text, what, sm_strerror(err));
}

/* ---- all of it ---- */

static int told(struct recover *r, int e, const struct restore_result *v)
{
    struct cli *c = r->c;
    cli_progress_end(c);
    if (c->json) {
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
        cli_note(c, T(c, "戻せません: %s", "cannot restore: %s"), sm_strerror(e));
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
    struct store_query q = { .client = &r->g.client };
    struct store_generation g[64];
    struct manifest m;
    json_t *facts = NULL, *sources = json_array(), *seen = json_object();
    size_t n;
    if (manifest_parse(sm_buf_span(&r->manifest), &m) == 0 && m.facts.n && sm_json_parse(m.facts, MANIFEST_FACTS_MAX, &facts, NULL) < 0)
        facts = NULL;
    if (store_client_get(r->st, &r->g.client, &who) < 0)
        who.name[0] = 0;
    while ((n = store_generations(r->st, &q, g, 64)) > 0 && json_array_size(sources) < 64) {
        for (size_t i = 0; i < n; i++) {
            json_t *row = row_of(r->st, &g[i]);
            const char *id = cli_str(row, "source");
            if (!json_object_get(seen, id) && json_array_size(sources) < 64) {
                json_object_set_new(seen, id, json_true());
                json_array_append_new(sources, json_pack("{s:s,s:s,s:s,s:I}", "name", *cli_str(row, "label") ? cli_str(row, "label") : id, "kind", "",
                    "at", cli_str(row, "at"), "bytes", (json_int_t)bytes_of(r->st, &g[i].manifest)));
            }
            json_decref(row);
        }
        q.before_seq = g[n - 1].seq;
    }
    json_t *out = json_pack("{s:{s:s},s:O?,s:o}", "device", "name", who.name, "machine", json_object_get(facts, "machine"), "sources", sources);
    json_decref(facts);
    json_decref(seen);
    return out;
}

static void leave_guide(struct recover *r, const char *to)
{
    json_t *g = guide_of(r);
    int e = g ? guide_write(r->c, to, g) : -ENOMEM;
    if (e)
        cli_note(r->c, "%s/" GUIDE_FILE ": %s", to, sm_strerror(e));
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
static char *place_of(struct cli *c)
{
    const char *to = cli_opt(c, "to");
    int r = plat_fs_mkdir_p(to, 0700);
    char *full = r < 0 ? NULL : realpath(to, NULL);
    if (!full)
        cli_note(c, "%s: %s", to, sm_strerror(r < 0 ? r : -errno));
    return full;
}

int cmd_recover(struct cli *c)
{
    struct recover r = { .c = c, .manifest = SM_BUF_INIT(MANIFEST_MAX) };
    int e = check_line(c);
    if (e == CLI_OK)
        e = vaultdir_open(c, &r.st);
    if (e != CLI_OK)
        return e;
    if (cli_flag(c, "list")) {
        e = list(c, r.st);
        store_close(r.st);
        return e;
    }
    e = pick(&r);
    if (e == CLI_OK)
        e = vaultopen_manifest(c, r.st, &r.g, &r.manifest);
    if (e == CLI_OK)
        e = vaultopen_sheet(c, r.st, &r.open);
    char *to = e == CLI_OK ? place_of(c) : NULL;
    if (e == CLI_OK)
        e = to ? restore(&r, to) : CLI_FAILED;
    if (to && (e == CLI_OK || e == CLI_PARTIAL))
        leave_guide(&r, to);
    free(to);
    keyring_wipe(&r.open);
    sm_buf_wipe(&r.manifest);
    store_close(r.st);
    return e;
}
