/* scrub: read everything again and heal; by the box, or on a stopped vault's or a copy's files. */
#include <errno.h>
#include <unistd.h>
#include "plat/fs.h"
#include "sakimori/commands.h"
#include "sakimori/vaultdir.h"
#include "vault/scrub/scrub.h"

static uint64_t count(const json_t *o, const char *key)
{
    json_int_t v = json_integer_value(json_object_get(o, key));
    return v > 0 ? (uint64_t)v : 0;
}

/* ---- the box's ---- */

static int report(struct cli *c, const json_t *v)
{
    const json_t *now = json_object_get(v, "now"), *found = json_object_get(v, "found");
    char bytes[32];
    size_t i;
    json_t *f;
    if (c->json) {
        cli_json(v);
        return count(now, "damaged") ? CLI_FAILED : CLI_OK;
    }
    cli_bytes(count(now, "bytes"), bytes);
    printf(T(c, "読み直し: %s(%s)、パック %llu / %llu、%s、直した %llu、直せない %llu\n",
        "scrub: %s (%s), %llu of %llu packs, %s, %llu healed, %llu beyond repair\n"),
        json_is_true(json_object_get(now, "running")) ? T(c, "途中", "under way") : T(c, "終わり", "idle"),
        cli_str(now, "phase"), (unsigned long long)count(now, "packs"), (unsigned long long)count(now, "packs_total"),
        bytes, (unsigned long long)count(now, "healed"), (unsigned long long)count(now, "damaged"));
    printf(T(c, "始め %s、前回の終わり %s、次 %s(%llu 日ごと)、予備の計算待ち %llu\n",
        "begun %s, last complete %s, next %s (every %llu days), %llu packs wait for their parity\n"),
        cli_str(now, "started"), cli_str(now, "finished"), cli_str(now, "next"),
        (unsigned long long)count(now, "days"), (unsigned long long)count(now, "waiting"));
    json_array_foreach((json_t *)found, i, f)
        cli_note(c, "  %s: %s", cli_str(f, "file"), cli_str(f, "result"));
    return count(now, "damaged") ? CLI_FAILED : CLI_OK;
}

int cmd_scrub(struct cli *c)
{
    const char *what = cli_arg(c, 0);
    json_t *v = NULL;
    if (what && strcmp(what, "now") != 0) {
        cli_note(c, T(c, "now か、何も書かないかです", "now, or nothing"));
        return CLI_USAGE;
    }
    int e = what ? cli_call(c, "POST", "/api/v1/scrub", json_pack("{s:b}", "start", 1), NULL) : CLI_OK;
    while (e == CLI_OK) {
        e = cli_call(c, "GET", "/api/v1/scrub", NULL, &v);
        const json_t *now = json_object_get(v, "now");
        if (e != CLI_OK || !what || !json_is_true(json_object_get(now, "running")))
            break;
        cli_progress(c, T(c, "読み直し", "scrub"), count(now, "bytes"), count(now, "bytes_total"), "");
        json_decref(v);
        v = NULL;
        cli_sleep_ms(200);
    }
    if (what)
        cli_progress_end(c);
    e = e == CLI_OK ? report(c, v) : e;
    json_decref(v);
    return e;
}

/* ---- a vault's files ---- */

struct round { struct cli *c; bool heal; json_t *found, *hit; uint64_t total, done; };

static void on_found(void *arg, const struct scrub_finding *f)
{
    struct round *r = arg;
    const char *result = f->verdict == SCRUB_HEALED ? r->heal ? "healed" : "can be healed"
        : f->verdict == SCRUB_MISSING ? "missing" : f->verdict == SCRUB_NO_ROOM ? "no room to heal" : "beyond repair";
    json_array_append_new(r->found, json_pack("{s:s,s:s,s:s,s:I,s:I}", "what", f->what, "file", f->file, "result",
        result, "offset", (json_int_t)f->offset, "blocks", (json_int_t)f->blocks));
    if (!r->c->json)
        cli_note(r->c, "%s: %s", f->file, result);
}

static void on_damage(void *arg, const struct verify_damage *d)
{
    struct round *r = arg;
    if (!r->c->json)
        cli_note(r->c, "%s %s +%llu: %s", verify_what_name(d->what), d->file, (unsigned long long)d->offset, d->why);
}

static void on_hit(void *arg, const struct cid *manifest, const struct verify_damage *first)
{
    struct round *r = arg;
    char id[CID_HEX];
    cid_hex(manifest, id);
    json_array_append_new(r->hit, json_pack("{s:s,s:s}", "generation", id, "why", first->why));
    if (!r->c->json)
        cli_note(r->c, T(r->c, "世代 %s に傷みがあります", "generation %s is damaged"), id);
}

static int run(struct store *st, struct round *r, struct scrub_state *ret)
{
    const struct scrub_hooks h = { .found = on_found, .damage = on_damage, .hit = on_hit, .arg = r, .write = r->heal };
    struct scrub *s = NULL;
    int err = scrub_new(st, &h, &s);
    if (err < 0)
        return err;
    scrub_begin(s, true);
    while ((err = scrub_step(s, SCRUB_STEP_BYTES)) == 1) {
        scrub_state(s, ret);
        cli_progress(r->c, T(r->c, "読み直し", "scrub"), ret->now.bytes, ret->bytes_total, "");
    }
    while (err == 0 && r->heal && (err = scrub_protect(s, SCRUB_STEP_BYTES)) == 1)
        err = 0;
    scrub_state(s, ret);
    scrub_free(s);
    cli_progress_end(r->c);
    return err;
}

/* Journal and format file first: without them nothing else can be judged.  *ret_lock is held while healing. */
static int heal_journal(struct cli *c, const char *dir, struct round *r, int *ret_lock)
{
    struct spare_healed got = { 0 };
    int err = spare_heal(dir, r->heal, &got);
    if (err == 0 && r->heal) {
        int fd = plat_fs_open_dir(AT_FDCWD, dir);
        err = fd < 0 ? fd : plat_fs_lock(fd, "lock");
        if (err >= 0)
            *ret_lock = err;
        err = err < 0 ? err : 0;
        if (err == 0)                        /* a copy may have left it out; healed files are made there */
            err = plat_fs_mkdir(fd, "tmp", 0700);
        err = err == -EEXIST ? 0 : err;
        if (fd >= 0)
            (void)close(fd); /* the lock has its own */
    }
    if (err == -SM_EAGAIN)
        cli_note(c, T(c, "この保管庫は動いている箱が使っています: 箱を止めるか、箱で sakimori scrub now を使ってください",
            "a running box has this vault: stop it, or use sakimori scrub now"));
    else if (err < 0)
        cli_note(c, "%s: %s", dir, sm_errtext(err, c->ja));
    const char *result = r->heal ? "healed" : "can be healed";
    char file[64];
    (void)snprintf(file, sizeof file, "journal/%s", got.file); /* fits */
    if (got.format)
        json_array_append_new(r->found, json_pack("{s:s,s:s,s:s}", "what", "format", "file", "format", "result", result));
    if (got.records)
        json_array_append_new(r->found, json_pack("{s:s,s:s,s:s,s:I}", "what", "journal", "file", file, "result", result,
            "blocks", (json_int_t)got.records));
    if (!c->json && (got.format || got.records))
        cli_note(c, "%s: %s", got.records ? file : "format", result);
    return err == -SM_EAGAIN || err < 0 ? CLI_FAILED : CLI_OK;
}

static int finish(struct cli *c, const struct round *r, const struct scrub_state *s)
{
    const struct scrub_counts *n = &s->now;
    size_t healed = n->healed, i;
    json_t *f;
    char bytes[32];
    json_array_foreach(r->found, i, f)
        healed += !strcmp(cli_str(f, "what"), "journal") || !strcmp(cli_str(f, "what"), "format");
    bool sound = n->damaged == 0 && (r->heal || healed == 0);
    if (c->json) {
        json_t *j = json_pack("{s:b,s:b,s:I,s:I,s:I,s:I,s:I,s:I,s:O,s:O}", "sound", sound, "heal", r->heal, "packs",
            (json_int_t)n->packs, "bytes", (json_int_t)n->bytes, "protected", (json_int_t)n->protected_, "bare",
            (json_int_t)n->bare, "healed", (json_int_t)healed, "damaged", (json_int_t)n->damaged, "found", r->found,
            "hit", r->hit);
        cli_json(j);
        json_decref(j);
        return sound ? CLI_OK : CLI_FAILED;
    }
    cli_bytes(n->bytes, bytes);
    printf(T(c, "パック %llu、%s。直せる傷み %llu(%s)、直せない傷み %llu、予備の計算が%s %llu\n",
        "%llu packs, %s.  %llu healable (%s), %llu beyond repair; parity %s: %llu\n"),
        (unsigned long long)n->packs, bytes, (unsigned long long)healed,
        r->heal ? T(c, "直した", "healed") : T(c, "--heal で直す", "--heal heals"), (unsigned long long)n->damaged,
        r->heal ? T(c, "付いた", "written") : T(c, "ない", "missing"), (unsigned long long)n->protected_);
    return sound ? CLI_OK : CLI_FAILED;
}

int cmd_vault_scrub(struct cli *c)
{
    struct round r = { .c = c, .heal = cli_flag(c, "heal"), .found = json_array(), .hit = json_array() };
    struct scrub_state s = { 0 };
    struct store *st = NULL;
    char *dir = vaultdir_path(c);
    int lock = -1, e = dir ? heal_journal(c, dir, &r, &lock) : CLI_FAILED;
    if (e == CLI_OK)
        e = vaultdir_open(c, &st);
    int err = e == CLI_OK ? run(st, &r, &s) : 0;
    if (err < 0)
        cli_note(c, T(c, "途中で止まりました: %s", "stopped: %s"), sm_errtext(err, c->ja));
    if (e == CLI_OK)
        e = err < 0 ? CLI_FAILED : finish(c, &r, &s);
    store_close(st);
    if (lock >= 0)
        (void)close(lock); /* lets it go */
    json_decref(r.found);
    json_decref(r.hit);
    free(dir);
    return e;
}
