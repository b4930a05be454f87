/*
 * takeover: a new box from a copy of the vault and the recovery sheet (docs/FORMAT-vault.md section 13).
 *
 * Nothing of the copy is believed for where it lies: the generation of the box itself must be signed by the key that keyd's
 * sealed secrets name, countersigned by the head key that they hold, and those open with the sheet alone.  The vault is
 * copied with every pack checked against its name; a run that was cut off goes on.  The new folder becomes a box only with
 * the last rename.
 */
#include "sakimori/takeover.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/json.h"
#include "crypto/random.h"
#include "crypto/sign.h"
#include "plat/clock.h"
#include "plat/fs.h"
#include "sakimori/commands.h"
#include "sakimori/vaultdir.h"
#include "sakimori/vaultopen.h"
#include "vault/copy/copy.h"
#include "vault/restore/restore.h"
#include "vault/seal/selfkeys.h"
#include "vault/store/takeover.h"

#define WORK "takeover"
#define ROOM_BYTES ((uint64_t)256 << 20)
#define INDEX_BYTES ((size_t)1 << 30)

static int failed(struct cli *c, const char *what, int err)
{
    cli_note(c, "%s: %s", what, sm_errtext(err, c->ja));
    return CLI_FAILED;
}

/* ---- the copy ---- */

static int source_open(struct takeover_run *t)
{
    char why[STORE_WHY] = "";
    struct store_config config = { .dir = t->from, .flags = STORE_READ_ONLY, .limits = STORE_LIMITS_DEFAULT };
    config.limits.index_memory_bytes = INDEX_BYTES;
    memcpy(config.signer.public_key, t->head.public_key, 32); /* zeros at first: then no head can be checked */
    store_close(t->st);
    t->st = NULL;
    int r = store_open(&config, &t->st, why);
    if (r < 0) {
        cli_note(t->c, T(t->c, "写し %s は使えません: %s\nほかの写しを使うか、sakimori vault verify --vault DIR で傷みを調べてください。",
            "the copy %s cannot be used: %s\nuse another copy, or look at the damage with sakimori vault verify --vault DIR"),
            t->from, cli_why(t->c, r, why));
        return CLI_FAILED;
    }
    return CLI_OK;
}

/* ---- the box's own generation ---- */

static int get_many(void *arg, const struct cid *cids, size_t n, restore_object_fn fn, void *fn_arg)
{
    struct takeover_run *t = arg;
    struct sm_buf b = SM_BUF_INIT(OBJ_SEALED_MAX);
    for (size_t i = 0; i < n; i++) {
        sm_buf_clear(&b);
        int e = store_object(t->st, &t->g.client, &cids[i], &b);
        fn(fn_arg, i, e == -SM_ENOTFOUND ? -SM_EMISSING : e, e < 0 ? SM_SPAN("", 0) : sm_buf_span(&b));
    }
    sm_buf_wipe(&b);
    return 0;
}

static int file_key(void *arg, const struct cid *envelope, struct file_key *ret)
{
    struct takeover_run *t = arg;
    return vaultopen_file_key(t->st, &t->g.client, &t->open, envelope, ret);
}

static void on_problem(void *arg, struct sm_span path, int err, const char *what)
{
    struct takeover_run *t = arg;
    char text[512];
    (void)snprintf(text, sizeof text, "%.*s", (int)(path.n < 400 ? path.n : 400), (const char *)path.p); /* fits */
    /* The owners of the old machine mean nothing here: the box gives its folders to its own users when it starts. */
    if (!strcmp(what, "owner"))
        return;
    t->lost = true;
    cli_problem(t->c, text, err, what);
}

/* The sealed keys are small.  Whoever else's generation it is may have a file there that fills the disk. */
static void on_given_back(void *arg, const struct restore_progress *p)
{
    struct takeover_run *t = arg;
    if (t->only_keys && p->bytes > SELFKEYS_MAX)
        atomic_store(&t->too_much, true);
}

static bool is_too_much(void *arg)
{
    return atomic_load(&((struct takeover_run *)arg)->too_much);
}

/* only NULL: all of it. */
static int unpack_to(struct takeover_run *t, struct sm_span manifest, const char *only, const char *folder)
{
    char place[sizeof t->gen + 8];
    const struct sm_span one = only ? SM_SPAN_STR(only) : SM_SPAN("", 0);
    struct restore_config config = { .paths = &one, .paths_n = only != NULL, .work = -1, .manifest = manifest, .target = RESTORE_PLACE, .place = place,
        .state_dir = -1, .existing = RESTORE_OVERWRITE, .sync = true };
    struct restore_source source = { .get_many = get_many, .file_key = file_key, .names_checked = true, .arg = t };
    struct restore_watch watch = { .problem = on_problem, .progress = on_given_back, .cancelled = is_too_much, .arg = t };
    struct restore_result v = { 0 };
    memcpy(config.id, t->g.manifest.b, sizeof config.id);
    t->lost = false;
    t->only_keys = only != NULL;
    atomic_store(&t->too_much, false);
    (void)snprintf(place, sizeof place, "%.*s%s", (int)strlen(t->gen) - 3, t->gen, folder); /* t->gen ends in "gen" */
    (void)!plat_fs_remove_tree(t->work, folder); /* of a run that was cut off */
    int r = plat_fs_mkdir(t->work, folder, 0700);
    if (!r)
        r = restore_run(&config, &source, &watch, &v);
    return r == -SM_EPARTIAL && !t->lost ? 0 : r;
}

static int unpack(struct takeover_run *t, struct sm_span manifest, const char *only)
{
    return unpack_to(t, manifest, only, "gen");
}

/* Who carried it, who took it in: both stand in what only the sheet opens. */
static int believe(struct takeover_run *t, struct sm_span manifest)
{
    json_t *record = NULL;
    uint8_t sig[64];
    int r = client_id_eq(&t->keys.client, &t->g.client) ? manifest_verify(manifest, t->keys.sign_pub) : -SM_EAUTH;
    if (!r)
        r = store_generation_json(t->st, &t->g.manifest, &record);
    if (!r) {
        struct sm_obj o = SM_OBJ(record);
        sm_obj_hex(&o, "box_sig", sig, 64);
        r = o.err ? o.err
                  : manifest_countersign_verify(&t->g.manifest, t->g.seq, t->g.time.s, t->head.public_key, sig);
    }
    json_decref(record);
    return r;
}

/* keys.json of keyd: the head key, and whose sheet it was. */
static int keys_look(struct takeover_run *t)
{
    const struct selfkeys_file *f = selfkeys_find(&t->keys, "keys.json");
    json_t *j = NULL;
    uint8_t seed[32], orders[32], vault[16];
    int r = f ? sm_json_parse(f->content, SELFKEYS_PLAIN_MAX, &j, NULL) : -SM_EFORMAT;
    if (!r) {
        struct sm_obj o = SM_OBJ(j);
        sm_obj_hex(&o, "head_seed", seed, 32);
        sm_obj_hex(&o, "vault", vault, 16);
        sm_obj_hex(&o, "sheet_orders_pub", orders, 32);
        r = o.err ? o.err : crypto_sign_from_seed(seed, &t->head);
    }
    if (!r && (memcmp(vault, store_vault(t->st)->b, 16) != 0 || memcmp(orders, t->orders.public_key, 32) != 0))
        r = -SM_EMISMATCH;
    sm_zero(seed, sizeof seed);
    sm_json_drop_secret(j);
    return r;
}

static int open_keys(struct takeover_run *t)
{
    struct sm_buf sealed = SM_BUF_INIT(SELFKEYS_MAX);
    int box = openat(t->work, "gen/box", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    int r = box < 0 ? -errno : takeover_read(box, "keys.skb", SELFKEYS_MAX, &sealed);
    if (box >= 0)
        close(box);
    sm_buf_wipe(&t->plain);
    t->plain = SM_BUF_INIT(SELFKEYS_PLAIN_MAX);
    if (!r)
        r = selfkeys_open(sm_buf_span(&sealed), store_vault(t->st), t->open.pair[0].secret, &t->plain, &t->keys);
    sm_buf_wipe(&sealed);
    return r ? r : keys_look(t);
}

static bool is_labelled(struct takeover_run *t, const struct store_generation *g, struct sm_buf *manifest, const char *label)
{
    struct manifest m;
    sm_buf_clear(manifest);
    return g->status == RUN_COMPLETE && !g->damaged && store_manifest(t->st, &g->manifest, manifest) == 0 &&
        manifest_parse(sm_buf_span(manifest), &m) == 0 && sm_span_eq(m.label, SM_SPAN_STR(label));
}

/* 0: this one is it. */
static int try_one(struct takeover_run *t, const struct store_generation *g, struct sm_buf *manifest)
{
    char at[SM_TIME_TEXT];
    t->g = *g;
    int r = unpack(t, sm_buf_span(manifest), "/box/keys.skb");
    if (!r)
        r = open_keys(t);
    if (!r)
        r = believe(t, sm_buf_span(manifest));
    if (!r) /* only now: any client could call its generation so */
        r = unpack(t, sm_buf_span(manifest), NULL);
    if (r && r != -SM_ENOTFOUND) {
        sm_time_jst(g->time, at);
        cli_note(t->c, T(t->c, "箱の控え(%s)は使えません: %s。その前のものを見ます。",
            "the box's backup of %s cannot be used: %s; looking at the one before"), at, sm_errtext(r, t->c->ja));
    }
    return r;
}

/* The newest that opens and can be believed. */
static int find_self(struct takeover_run *t)
{
    struct store_query q = { 0 };
    struct store_generation g[64];
    struct sm_buf manifest = SM_BUF_INIT(MANIFEST_MAX);
    size_t n, seen = 0;
    int r = -SM_ENOTFOUND, last = 0;
    struct takeover_tries *tries = calloc(1, sizeof *tries);
    while (tries && r && (n = store_generations(t->st, &q, g, 64)) > 0) {
        for (size_t i = 0; i < n && r; i++) {
            if (!is_labelled(t, &g[i], &manifest, SELFKEYS_LABEL) || !takeover_may_try(tries, &g[i].client))
                continue;
            seen++;
            r = last = try_one(t, &g[i], &manifest);
        }
        q.before_seq = g[n - 1].seq;
    }
    free(tries);
    sm_buf_wipe(&manifest);
    if (!r)
        return CLI_OK;
    if (last == -SM_ENOTFOUND || last == -SM_EMISMATCH) {
        cli_note(t->c, T(t->c, "この紙では開きません。この箱の紙か、両方の鍵(開く鍵・命令の鍵)かを確かめてください",
            "this sheet does not open it: is it this box's sheet, with both halves?"));
        return CLI_DENIED;
    }
    cli_note(t->c, seen ? T(t->c, "使える箱の控えが、この写しにはありません", "no backup of the box in this copy can be used")
        : T(t->c, "この写しには、箱の控えがありません(控えを始める前の写しです)。sakimori recover でファイルは戻せます",
              "this copy holds no backup of the box itself (it is from before there were any); sakimori recover gives files back"));
    return CLI_NOT_FOUND;
}

/* ---- its record of logs ---- */

static int logs_of(struct takeover_run *t, const struct store_generation *g, struct sm_buf *manifest)
{
    const struct store_generation box = t->g;
    char dir[sizeof t->gen + 16];
    t->g = *g;
    int r = believe(t, sm_buf_span(manifest));
    if (!r)
        r = unpack_to(t, sm_buf_span(manifest), NULL, "logs");
    (void)snprintf(dir, sizeof dir, "%.*slogs/journal", (int)strlen(t->gen) - 3, t->gen); /* as above */
    if (!r)
        r = evidence_continue(dir, plat_clock_wall().s, &t->link);
    t->has_logs = r >= 0;
    t->logs = *g;
    t->g = box;
    return r;
}

/* The newest that is whole, of the same client.  Without it the box takes over all the same: it stays in the vault. */
static void find_logs(struct takeover_run *t)
{
    struct store_query q = { 0 };
    struct store_generation g[64];
    struct sm_buf manifest = SM_BUF_INIT(MANIFEST_MAX);
    size_t n, tried = 0;
    int r = -SM_ENOTFOUND;
    while (!t->has_logs && tried < TAKEOVER_TRIES && (n = store_generations(t->st, &q, g, 64)) > 0) {
        for (size_t i = 0; i < n && !t->has_logs && tried < TAKEOVER_TRIES; i++) {
            if (!client_id_eq(&t->keys.client, &g[i].client) || !is_labelled(t, &g[i], &manifest, SELFKEYS_LOGS_LABEL))
                continue;
            tried++;
            r = logs_of(t, &g[i], &manifest);
        }
        q.before_seq = g[n - 1].seq;
    }
    sm_buf_wipe(&manifest);
    if (!t->has_logs && r != -SM_ENOTFOUND)
        cli_note(t->c, T(t->c, "ログの記録は引き継げませんでした(%s)。保管庫には残っています: sakimori logs restore",
            "the record of logs could not be taken over (%s); it stays in the vault: sakimori logs restore"), sm_errtext(r, t->c->ja));
    else if (r > 0)
        cli_note(t->c, T(t->c, "ログの記録に傷みがあります(場所は sakimori journal verify で分かります)",
            "the record of logs is damaged in places (sakimori journal verify names them)"));
}

/* ---- the sheet ---- */

static int sheet(struct takeover_run *t)
{
    int e = vaultopen_sheet(t->c, t->st, &t->open);
    return e == CLI_OK ? cli_orders_key(t->c, &t->orders) : e;
}

/* ---- the vault ---- */

static int sign(void *arg, struct sm_span message, uint8_t ret_sig[64])
{
    struct takeover_run *t = arg;
    return crypto_sign(&t->head, message, ret_sig);
}

static int head_of(struct takeover_run *t, struct journal_signed_head *ret)
{
    struct sm_buf b = SM_BUF_INIT(256);
    *ret = (struct journal_signed_head){ .head = t->from_head, .s = plat_clock_wall().s };
    memcpy(ret->vault, store_vault(t->st)->b, 16);
    int r = journal_head_message(ret, &b);
    if (!r)
        r = crypto_sign(&t->head, sm_buf_span(&b), ret->sig);
    sm_buf_wipe(&b);
    return r;
}

static int on_copied(void *arg, const struct copy_progress *p)
{
    struct takeover_run *t = arg;
    cli_progress(t->c, T(t->c, "保管庫を写しています", "vault"), p->bytes, p->bytes_total, "");
    return 0;
}

static void on_damage(void *arg, const struct copy_damage *d)
{
    struct takeover_run *t = arg;
    t->damaged++;
    cli_note(t->c, T(t->c, "写しの中の %s が傷んでいます: %s", "%s in the copy is damaged: %s"), d->file, d->why);
}

static int room_check(struct takeover_run *t)
{
    struct store_totals totals;
    struct plat_fs_space space;
    char need[32], have[32];
    if (store_totals(t->st, &totals) || plat_fs_space(AT_FDCWD, t->data, &space))
        return CLI_OK; /* told by the copying itself */
    uint64_t want = totals.pack_bytes + totals.pack_bytes / 32 + ROOM_BYTES;
    if (space.avail_bytes >= want || access(t->vault, F_OK) == 0) /* one that was begun goes on as far as it comes */
        return CLI_OK;
    cli_bytes(want, need);
    cli_bytes(space.avail_bytes, have);
    cli_note(t->c, T(t->c, "%s に空きが足りません: %s 要りますが、%s しかありません", "%s has too little room: %s needed, %s free"),
        t->data, need, have);
    return CLI_FAILED;
}

static int copy_vault(struct takeover_run *t)
{
    struct copy_args a = { .from = t->from, .target = &copy_folder, .to = t->vault, .progress = on_copied,
        .damage = on_damage, .arg = t };
    char why[COPY_WHY] = "";
    struct copy *k = NULL;
    memcpy(a.head_pub, t->head.public_key, 32);
    int r = head_of(t, &a.head);
    if (!r)
        r = plat_fs_mkdir_p(t->vault, 0700);
    if (!r)
        r = copy_new(&a, &k, why);
    while (!r && (r = copy_step(k)) == 1)
        r = 0;
    if (k) {
        struct copy_result res;
        copy_result(k, &res);
        if (r)
            (void)snprintf(why, sizeof why, "%s", res.why); /* same size */
    }
    copy_free(k);
    cli_progress_end(t->c);
    return r ? failed(t->c, *why ? why : t->vault, r) : CLI_OK;
}

static int place_open(struct takeover_run *t, unsigned flags, struct store **ret, char *why)
{
    struct store_config config = { .dir = t->vault, .flags = flags, .limits = STORE_LIMITS_DEFAULT };
    config.limits.index_memory_bytes = INDEX_BYTES;
    config.signer.sign = sign;
    config.signer.arg = t;
    memcpy(config.signer.public_key, t->head.public_key, 32);
    return store_open(&config, ret, why);
}

/* The vault stands there, with the record: only the rest was missing. */
static bool recorded(struct takeover_run *t)
{
    struct store *st = NULL;
    struct takeover was;
    bool done = false;
    if (place_open(t, STORE_READ_ONLY, &st, NULL))
        return false;
    const char *text = json_string_value(json_object_get(store_takeover(st), "order"));
    if (text && takeover_parse(SM_SPAN_STR(text), &was) == 0)
        done = was.from.seq == t->from_head.seq && !memcmp(was.from.hash, t->from_head.hash, 32) &&
            journal_durable(store_journal(st)).seq > was.from.seq;
    store_close(st);
    return done;
}

static int record(struct takeover_run *t)
{
    struct store *st = NULL;
    struct takeover order = { .vault = *store_vault(t->st) };
    struct journal_signed_head head;
    char why[STORE_WHY] = "", made[SM_TIME_TEXT];
    uint8_t sig[64];
    struct sm_buf text = SM_BUF_INIT(TAKEOVER_TEXT_MAX), message = SM_BUF_INIT(TAKEOVER_TEXT_MAX + 64);
    int r = place_open(t, 0, &st, why);
    if (!r) {
        order.from = journal_durable(store_journal(st));
        crypto_random(order.nonce, 16);
        sm_time_rfc3339(plat_clock_wall(), made);
        r = takeover_put(&order, made, &text);
    }
    if (!r)
        r = takeover_message(sm_buf_span(&text), &message);
    if (!r)
        r = crypto_sign(&t->orders, sm_buf_span(&message), sig);
    if (!r)
        r = store_took_over(st, sm_buf_span(&text), sig, t->orders.public_key);
    if (!r)
        r = store_head(st, &head);
    store_close(st);
    sm_buf_wipe(&text);
    sm_buf_wipe(&message);
    return r ? failed(t->c, *why ? why : t->vault, r) : CLI_OK;
}

static int vault(struct takeover_run *t)
{
    if (recorded(t))
        return CLI_OK;
    if (!t->in_place) {
        int e = room_check(t);
        if (e == CLI_OK)
            e = copy_vault(t);
        if (e != CLI_OK)
            return e;
    }
    return record(t);
}

/* ---- all of it ---- */

static int prepare(struct takeover_run *t)
{
    const char *given = cli_opt(t->c, "vault"), *data = cli_opt(t->c, "data");
    char path[TAKEOVER_PATH];
    if (!given || !data) {
        cli_note(t->c, T(t->c, "--vault(写しの場所)と --data(新しい箱の場所)が要ります",
            "--vault (where the copy lies) and --data (where the new box is to be) are needed"));
        return CLI_USAGE;
    }
    t->from = vaultdir_find(given);
    if (!t->from) {
        cli_note(t->c, T(t->c, "%s に保管庫がありません", "no vault in %s"), given);
        return CLI_NOT_FOUND;
    }
    int r = plat_fs_mkdir_p(data, 0700);
    t->data = r ? NULL : realpath(data, NULL);
    if (!t->data || strlen(t->data) > TAKEOVER_PATH - 64)
        return failed(t->c, data, r ? r : -errno);
    (void)snprintf(path, sizeof path, "%s/keys", t->data); /* measured */
    if (access(path, F_OK) == 0) {
        cli_note(t->c, T(t->c, "%s には、もう箱があります。空のフォルダーを使ってください", "there is a box in %s already: use an empty folder"),
            t->data);
        return CLI_FAILED;
    }
    (void)snprintf(t->vault, sizeof t->vault, "%s/vault", t->data);          /* measured */
    (void)snprintf(t->gen, sizeof t->gen, "%s/" WORK "/gen", t->data);       /* measured */
    (void)snprintf(path, sizeof path, "%s/" WORK, t->data);                  /* measured */
    char *there = realpath(t->vault, NULL);
    t->in_place = there && !strcmp(there, t->from);
    free(there);
    r = plat_fs_mkdir_p(path, 0700);
    t->work = r ? r : plat_fs_open_dir(AT_FDCWD, path);
    t->dir = plat_fs_open_dir(AT_FDCWD, t->data);
    return t->work < 0 || t->dir < 0 ? failed(t->c, path, t->work < 0 ? t->work : t->dir) : CLI_OK;
}

static void told(struct takeover_run *t)
{
    struct cli *c = t->c;
    char at[SM_TIME_TEXT], logs[SM_TIME_TEXT] = "";
    sm_time_rfc3339(t->g.time, at);
    if (t->has_logs)
        sm_time_rfc3339(t->logs.time, logs);
    if (c->json) {
        json_t *j = json_pack("{s:s,s:s,s:I,s:I,s:b,s:s}", "saved", at, "data", t->data, "seq",
            (json_int_t)t->from_head.seq, "damaged", (json_int_t)t->damaged, "check", t->check, "logs", logs);
        cli_json(j);
        json_decref(j);
        return;
    }
    sm_time_jst(t->g.time, at);
    printf(T(c, "箱の控え: %s\n", "the box's backup: %s\n"), at);
    if (t->check) {
        printf("%s\n", T(c, "この写しと紙で、新しい箱を作れます。", "a new box can be made from this copy and sheet"));
        return;
    }
    if (t->has_logs)
        sm_time_jst(t->logs.time, logs);
    if (t->has_logs)
        printf(T(c, "ログの記録: %s に控えたところまで。そのあと前の箱が書いたものは、ありません\n",
            "the record of logs: as it was saved %s; what the old box wrote after that is lost\n"), logs);
    else
        printf("%s\n", T(c, "ログの記録: 控えがなく、新しく始まります", "the record of logs: none was saved, it begins anew"));
    printf(T(c,
        "新しい箱の用意ができました: %s\n"
        "  1. 古い箱は、電源を入れないでください(二つの箱を動かさない)。\n"
        "  2. この場所で箱を始めます: sakimorid --data %s\n"
        "  3. 同じアドレスなら、機器は自動でつながります。変わったときは、機器ごとに sakimori-agent move URL\n"
        "  4. %s よりあとに変えたこと(人・機器・設定)は、もう一度行ってください。\n"
        "  5. 箱の機械そのものも保存していたときは、古いデータの横の「…-agent」フォルダーを %s-agent に移します。\n"
        "     なければ、「機器と保存」でその機械を外すと、新しく加わります。\n",
        "the new box is ready: %s\n"
        "  1. never switch the old box on again: two boxes must not run\n"
        "  2. start the box there: sakimorid --data %s\n"
        "  3. at the same address the machines come by themselves; else on each: sakimori-agent move URL\n"
        "  4. what was changed after %s (people, machines, settings) has to be done once more\n"
        "  5. if the box backed its own machine up: move the folder \"...-agent\" from beside the old data to %s-agent;\n"
        "     without it remove that machine on the box, and it joins anew\n"),
        t->data, t->data, at, t->data);
}

int cmd_takeover(struct cli *c)
{
    struct takeover_run *t = calloc(1, sizeof *t);
    if (!t)
        return CLI_FAILED;
    *t = (struct takeover_run){ .c = c, .work = -1, .dir = -1, .check = cli_flag(c, "check") };
    int e = prepare(t);
    if (e == CLI_OK)
        e = source_open(t);
    if (e == CLI_OK)
        e = sheet(t);
    if (e == CLI_OK)
        e = find_self(t);
    if (e == CLI_OK)
        e = source_open(t); /* once more, with the key of its heads: one that was cut or rolled back is refused */
    if (e == CLI_OK)
        t->from_head = journal_durable(store_journal(t->st));
    if (e == CLI_OK && !t->check)
        e = vault(t);
    if (e == CLI_OK && !t->check)
        find_logs(t);
    if (e == CLI_OK && !t->check)
        e = takeover_place(t);
    if (t->work >= 0)
        (void)!plat_fs_remove_tree(t->dir, WORK); /* plain secrets of the box: not left lying */
    if (e == CLI_OK)
        told(t);
    e = e == CLI_OK && t->damaged ? CLI_PARTIAL : e;
    takeover_wipe(t);
    return e;
}
