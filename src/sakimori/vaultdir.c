/* vault verify and journal show: a vault's files, without its box. */
#include "sakimori/vaultdir.h"
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>
#include "core/json.h"
#include "plat/fs.h"
#include "sakimori/commands.h"
#include "vault/copy/copy.h"
#include "vault/verify/verify.h"

#define INDEX_BYTES ((size_t)1 << 30) /* a vault without its caches is indexed in memory alone */

char *vaultdir_find(const char *given)
{
    static const char *const below[] = { "", "/vault", "/" COPY_FOLDER "/" COPY_VAULT };
    for (size_t i = 0; i < sizeof below / sizeof *below; i++) {
        char *dir = NULL, *file = NULL;
        bool there = asprintf(&dir, "%s%s", given, below[i]) >= 0 && asprintf(&file, "%s/format", dir) >= 0 &&
            access(file, F_OK) == 0;
        free(file);
        char *full = there ? realpath(dir, NULL) : NULL;
        free(dir);
        if (full)
            return full;
    }
    return NULL;
}

/* The keys lie beside the vault of a box alone: no copy has them. */
bool vaultdir_is_box(const char *vault)
{
    char *keys = NULL;
    bool is = asprintf(&keys, "%s/../keys", vault) >= 0 && access(keys, F_OK) == 0;
    free(keys);
    return is;
}

char *vaultdir_path(struct cli *c)
{
    const char *given = cli_opt(c, "vault"), *data = cli_opt(c, "data"), *home = getenv("HOME");
    const char *standard = geteuid() == 0 || !home ? "/var/lib/sakimori" : NULL;
    char *base = NULL;
    int r = given || data || standard ? asprintf(&base, "%s", given ? given : data ? data : standard)
        : asprintf(&base, "%s/.local/share/sakimori", home);
    if (r < 0)
        return NULL;
    char *found = vaultdir_find(base);
    if (found)
        free(base);
    return found ? found : base;
}

void vaultdir_fault(const struct cli *c, const struct journal_fault *f)
{
    cli_note(c, T(c, "journal/%s の %llu バイト目(記録 %llu): %s", "journal/%s at byte %llu (record %llu): %s"), f->file,
        (unsigned long long)f->offset, (unsigned long long)f->seq, f->why);
}

int vaultdir_open(struct cli *c, struct store **ret)
{
    char *dir = vaultdir_path(c), why[STORE_WHY] = "";
    struct store_config config = { .dir = dir, .flags = STORE_READ_ONLY | STORE_SALVAGE, .limits = STORE_LIMITS_DEFAULT };
    config.limits.index_memory_bytes = INDEX_BYTES;
    int r = dir ? store_open(&config, ret, why) : -ENOMEM;
    if (r < 0)
        cli_note(c,
            r == -SM_ENOTFOUND ? T(c, "%s に保管庫がありません", "no vault in %s")
                               : T(c, "%s を開けません: %s", "cannot open %s: %s"),
            dir ? dir : "", cli_why(c, r, why));
    if (r == 0 && store_recovered(*ret)->salvaged)
        cli_note(c, T(c,
            "注意: 保管庫の記録(journal)が壊れているか、ありません(%s)。ファイルだけを見て続けます。\n"
            "時刻は機器が言ったもので、どれがきれいか(疑い)は分かりません。",
            "note: the vault's journal is damaged or missing (%s); going on with packs and manifests alone.\n"
            "Times are what the machines said, and which generation is clean is not known."), *why ? why : "journal");
    free(dir);
    return r == 0 ? CLI_OK : r == -SM_ENOTFOUND ? CLI_NOT_FOUND : CLI_FAILED;
}

/* ---- vault verify ---- */

struct report { struct cli *c; json_t *damaged, *hit; };

static void on_damage(void *arg, const struct verify_damage *d)
{
    struct report *r = arg;
    char object[CID_HEX] = "";
    if (d->has_object)
        cid_hex(&d->object, object);
    json_array_append_new(r->damaged,
        json_pack("{s:s,s:s,s:I,s:s,s:s}", "what", verify_what_name(d->what), "file", d->file, "offset",
            (json_int_t)d->offset, "object", object, "why", d->why));
    if (!r->c->json)
        cli_note(r->c, "%s %s +%llu: %s %s", verify_what_name(d->what), d->file, (unsigned long long)d->offset, d->why,
            object);
}

static void on_hit(void *arg, const struct cid *manifest, const struct verify_damage *first)
{
    struct report *r = arg;
    char id[CID_HEX];
    cid_hex(manifest, id);
    json_array_append_new(r->hit, json_pack("{s:s,s:s}", "generation", id, "why", first->why));
    if (!r->c->json)
        cli_note(r->c, T(r->c, "世代 %s に傷みがあります", "generation %s is damaged"), id);
}

static int on_progress(void *arg, const struct verify_progress *p)
{
    struct report *r = arg;
    cli_progress(r->c, T(r->c, "検査", "verify"), p->bytes, p->bytes_total, "");
    return 0;
}

static int finish(struct cli *c, const struct report *rep, const struct verify_result *v)
{
    char bytes[32];
    cli_progress_end(c);
    if (c->json) {
        json_t *j = json_pack("{s:b,s:I,s:I,s:I,s:I,s:I,s:O,s:O}", "sound", v->sound, "packs", (json_int_t)v->packs,
            "objects", (json_int_t)v->objects, "bytes", (json_int_t)v->bytes, "generations", (json_int_t)v->generations,
            "ms", (json_int_t)v->ms, "damaged", rep->damaged, "hit", rep->hit);
        cli_json(j);
        json_decref(j);
    } else {
        cli_bytes(v->bytes, bytes);
        printf(T(c, "パック %llu、部品 %llu、%s、世代 %llu、傷み %llu\n",
                   "%llu packs, %llu objects, %s, %llu generations, %llu damaged\n"),
            (unsigned long long)v->packs, (unsigned long long)v->objects, bytes, (unsigned long long)v->generations,
            (unsigned long long)v->damaged);
    }
    return v->sound ? CLI_OK : CLI_FAILED;
}

/* A journal that cannot be opened is itself the finding. */
static int journal_only(struct cli *c)
{
    char *dir = vaultdir_path(c);
    struct journal_fault f = { 0 };
    int r = dir ? verify_journal(dir, &f) : -ENOMEM;
    free(dir);
    if (r == 0 || !f.why[0])
        return CLI_FAILED;
    if (c->json) {
        json_t *j = json_pack("{s:b,s:[{s:s,s:s,s:I,s:s}]}", "sound", 0, "damaged", "what", "journal", "file", f.file,
            "offset", (json_int_t)f.offset, "why", f.why);
        cli_json(j);
        json_decref(j);
    } else {
        vaultdir_fault(c, &f);
    }
    return CLI_FAILED;
}

/* An end of the journal that is no record: of a power cut, and then the box cuts it off at its next start; or damage. */
static void tail_found(struct report *r, const struct journal_cut *cut)
{
    if (!cut->happened)
        return;
    json_array_append_new(r->damaged, json_pack("{s:s,s:s,s:I,s:s}", "what", "tail", "file", cut->file, "bytes",
        (json_int_t)cut->bytes, "why", cut->why));
    if (!r->c->json)
        cli_note(r->c, T(r->c, "journal/%s の終わりの %llu バイトは記録として読めません: %s",
            "journal/%s: the last %llu bytes are no record: %s"), cut->file, (unsigned long long)cut->bytes, cut->why);
}

int cmd_vault_verify(struct cli *c)
{
    const char *kind = cli_arg(c, 0) ? cli_arg(c, 0) : "data";
    struct report rep = { .c = c };
    struct store *st = NULL;
    struct verify_result v = { 0 };
    if (strcmp(kind, "structure") && strcmp(kind, "data")) {
        cli_note(c, T(c, "structure か data です", "structure or data"));
        return CLI_USAGE;
    }
    int e = vaultdir_open(c, &st);
    if (e == CLI_FAILED)
        return journal_only(c);
    if (e != CLI_OK)
        return e;
    rep.damaged = json_array();
    rep.hit = json_array();
    tail_found(&rep, &store_recovered(st)->cut);
    struct verify_hooks h = { .progress = on_progress, .damage = on_damage, .hit = on_hit, .arg = &rep };
    int r = verify_run(st, !strcmp(kind, "data") ? VERIFY_DATA : VERIFY_STRUCTURE, &h, &v);
    if (r < 0)
        cli_note(c, T(c, "検査が途中で止まりました: %s", "the check stopped: %s"), sm_errtext(r, c->ja));
    e = r < 0 ? CLI_FAILED : finish(c, &rep, &v);
    if (store_recovered(st)->cut.happened)
        e = CLI_FAILED;
    json_decref(rep.damaged);
    json_decref(rep.hit);
    store_close(st);
    return e;
}

/* ---- journal show ---- */

static const char *type_name(uint16_t type)
{
    static const char *const names[] = { "?", "vault", "client", "pack", "manifest", "access", "freeze", "thaw", "mark",
        "damage", "tail", "refused", "policy", "verify", "clock", "hold", "order",
        "order-end", "expired", "pack-state", "pack-deleted", "date", "quota", "healed", [25] = "scrub", [42] = "took-over" };
    return type < sizeof names / sizeof *names && names[type] ? names[type] : "?";
}

struct showing { struct cli *c; uint64_t from; };

static int show_record(void *arg, const struct journal_record *r)
{
    const struct showing *s = arg;
    char at[SM_TIME_TEXT], hash[65];
    json_t *payload = NULL;
    if (r->seq < s->from)
        return 0;
    sm_time_rfc3339(r->time, at);
    sm_hex(r->hash, 32, hash);
    if (!s->c->json) {
        char text[4096];
        (void)snprintf(text, sizeof text, "%.*s", (int)(r->payload.n < 4000 ? r->payload.n : 4000),
            (const char *)r->payload.p); /* fits */
        printf("%" PRIu64 " %s %s ", r->seq, at, type_name(r->type));
        cli_text(stdout, text);
        putchar('\n');
        return ferror(stdout) ? -EPIPE : 0;
    }
    if (sm_json_parse(r->payload, JOURNAL_PAYLOAD_MAX, &payload, NULL) < 0)
        payload = json_null();
    json_t *j = json_pack("{s:I,s:s,s:I,s:s,s:i,s:o,s:s}", "seq", (json_int_t)r->seq, "at", at, "running_ms",
        (json_int_t)r->running_ms, "type", type_name(r->type), "version", (int)r->version, "payload", payload, "hash",
        hash);
    if (j && json_dumpf(j, stdout, JSON_COMPACT | JSON_SORT_KEYS) == 0)
        putchar('\n');
    json_decref(j);
    return ferror(stdout) ? -EPIPE : 0;
}

/* The vault's id stands in its format file. */
static int vault_id(int dirfd, uint8_t ret[16])
{
    static const char head[] = "sakimori vault ";
    struct sm_buf b = SM_BUF_INIT(256);
    size_t n = sizeof head - 1;
    int r = plat_fs_read_file(dirfd, "format", 128, &b);
    if (r == 0)
        r = b.n == n + 35 && !memcmp(b.p, head, n) && b.p[n] >= '1' && b.p[n] <= '3' && b.p[n + 1] == '\n' ?
            sm_unhex((const char *)b.p + n + 2, 32, ret, 16) : -SM_EFORMAT;
    sm_buf_wipe(&b);
    return r;
}

int cmd_journal_show(struct cli *c)
{
    uint8_t id[16];
    int64_t from = cli_number(c, "from", 1, INT64_MAX);
    struct showing s = { c, from > 0 ? (uint64_t)from : 1 };
    struct journal_fault f = { 0 };
    struct journal_cut cut = { 0 };
    struct journal *j = NULL;
    if (from == -2)
        return CLI_USAGE;
    char *dir = vaultdir_path(c);
    int vault = dir ? plat_fs_open_dir(AT_FDCWD, dir) : -ENOMEM;
    int folder = vault < 0 ? vault : plat_fs_open_dir(vault, "journal");
    struct journal_open_args a = {
        .dirfd = folder, .vault = id, .flags = JOURNAL_READ_ONLY, .fn = show_record, .arg = &s
    };
    int r = folder < 0 ? folder : vault_id(vault, id);
    if (r == 0)
        r = journal_open(&a, &j, &cut, &f);
    if (r < 0 && f.why[0])
        vaultdir_fault(c, &f);
    else if (r < 0)
        cli_note(c, "%s: %s", dir ? dir : "", sm_errtext(r, c->ja));
    if (r == 0 && cut.happened)
        cli_note(c,
            T(c, "journal/%s の終わりの %llu バイトは書きかけです",
                "journal/%s: the last %llu bytes are an unfinished write"),
            cut.file, (unsigned long long)cut.bytes);
    journal_close(j);
    if (folder >= 0)
        close(folder);
    if (vault >= 0)
        close(vault);
    free(dir);
    return r == 0 ? CLI_OK : r == -ENOENT || r == -SM_ENOTFOUND ? CLI_NOT_FOUND : CLI_FAILED;
}
