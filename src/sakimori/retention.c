/* retention, vault clean, order, hold, date, quota: how long what is kept.  An order is made and signed here: the words of the
 * recovery sheet are read from a file or the terminal and never leave this process. */
#include <errno.h>
#include "core/json.h"
#include "crypto/random.h"
#include "crypto/sheet.h"
#include "crypto/sign.h"
#include "plat/clock.h"
#include "sakimori/commands.h"
#include "vault/store/order.h"

#define DAY_MS ((json_int_t)86400000)
#define WATCH_MS 300

/* ---- clean-up ---- */

static const struct cli_col clean_cols[] = { { "at", CLI_TIME, "時刻", "At" }, { "orders", CLI_TEXT, "命令", "Orders" },
    { "expired", CLI_TEXT, "期限が来た世代", "Generations expired" },
    { "condemned", CLI_TEXT, "消す前に待つ包み", "Packs condemned" }, { "bytes_condemned", CLI_BYTES, "その大きさ", "Their size" },
    { "revived", CLI_TEXT, "また使われた包み", "Packs revived" }, { "deleted", CLI_TEXT, "消した包み", "Packs deleted" },
    { "bytes_deleted", CLI_BYTES, "空いた大きさ", "Bytes freed" }, { "copied", CLI_TEXT, "詰め直した包み", "Packs copied out" },
    { "blocked", CLI_TEXT, "読めないので触らない機器", "Machines left alone (unreadable)" } };
static const struct cli_col expire_cols[] = { { "manifest", CLI_SHORT, "世代", "Generation" }, { "at", CLI_TIME, "時刻", "At" },
    { "number", CLI_TEXT, "番号", "Number" }, { "client", CLI_SHORT, "機器", "Machine" } };

static int clean_watch(struct cli *c)
{
    for (;;) {
        json_t *j = NULL;
        int e = cli_call(c, "GET", "/api/v1/retention/clean", NULL, &j);
        const json_t *run = json_object_get(j, "running"), *last = json_object_get(j, "last");
        if (e == CLI_OK && !json_is_object(run)) {
            cli_progress_end(c);
            if (c->json) {
                cli_json(last);
            } else if (json_is_object(last)) {
                if (json_is_true(json_object_get(last, "dry")))
                    puts(T(c, "試しだけ: 何も変えていません。今行うと、こうなります。", "Dry run: nothing was changed. A run now would do this."));
                cli_record(c, last, clean_cols, sizeof clean_cols / sizeof *clean_cols);
                if (json_array_size(json_object_get(last, "expire")))
                    cli_table(c, json_object_get(last, "expire"), expire_cols, sizeof expire_cols / sizeof *expire_cols);
            }
            e = json_object_get(last, "error") ? CLI_FAILED : CLI_OK;
        }
        bool more = e == CLI_OK && json_is_object(run);
        if (more)
            cli_progress(c, T(c, "整理", "clean-up"),
                (uint64_t)json_integer_value(json_object_get(run, "generations")),
                (uint64_t)json_integer_value(json_object_get(run, "generations_total")), cli_str(run, "phase"));
        json_decref(j);
        if (!more)
            return e;
        cli_sleep_ms(WATCH_MS);
    }
}

int cmd_vault_clean(struct cli *c)
{
    bool dry = cli_flag(c, "dry-run"), stop = cli_flag(c, "cancel");
    json_t *body = stop ? json_pack("{s:b}", "cancel", 1) : json_pack("{s:b}", "dry_run", dry);
    int e = cli_call(c, "POST", "/api/v1/retention/clean", body, NULL);
    return e != CLI_OK || stop ? e : clean_watch(c);
}

/* ---- what is kept ---- */

static const struct cli_col item_cols[] = { { "manifest", CLI_SHORT, "世代", "Generation" }, { "at", CLI_TIME, "時刻", "At" },
    { "number", CLI_TEXT, "番号", "Number" }, { "why", CLI_WORD, "残る理由", "Kept because" },
    { "suspicious", CLI_YES, "疑い", "Suspicious" }, { "locked_days", CLI_TEXT, "守られる日数", "Locked for days" } };

int cmd_retention_show(struct cli *c)
{
    static const struct cli_col rules[] = { { "policy.hourly", CLI_TEXT, "時間ごと", "Hourly" },
        { "policy.daily", CLI_TEXT, "日ごと", "Daily" }, { "policy.weekly", CLI_TEXT, "週ごと", "Weekly" },
        { "policy.monthly", CLI_TEXT, "月ごと", "Monthly" }, { "policy.min_days", CLI_TEXT, "必ず守る日数", "Days locked" },
        { "lock_max_days", CLI_TEXT, "その上限", "Most days" }, { "totals.expired", CLI_TEXT, "期限が来た世代", "Generations expired" },
        { "totals.packs_condemned", CLI_TEXT, "消す前に待つ包み", "Packs waiting" },
        { "totals.bytes_deleted", CLI_BYTES, "これまでに空いた大きさ", "Freed so far" } };
    json_t *j = NULL, *source = NULL, *v;
    int e = cli_opt(c, "source") ? cli_find(c, "/api/v1/sources", cli_opt(c, "source"), &source) : CLI_OK;
    char *path = e == CLI_OK ? cli_path("/api/v1/retention", "source", source ? cli_str(source, "id") : NULL, NULL) : NULL;
    if (e == CLI_OK)
        e = path ? cli_call(c, "GET", path, NULL, &j) : CLI_FAILED;
    if (e == CLI_OK && c->json) {
        cli_json(j);
    } else if (e == CLI_OK) {
        size_t i;
        cli_record(c, j, rules, sizeof rules / sizeof *rules);
        json_array_foreach(json_object_get(j, "items"), i, v)
            json_object_set_new(v, "locked_days", json_integer(json_integer_value(json_object_get(v, "locked_ms")) / DAY_MS));
        if (source)
            cli_table(c, json_object_get(j, "items"), item_cols, sizeof item_cols / sizeof *item_cols);
    }
    free(path);
    json_decref(j);
    json_decref(source);
    return e;
}

/* ---- orders ---- */

static int order_list(struct cli *c, const char *key, const struct cli_col *cols, size_t n)
{
    json_t *j = NULL, *v;
    size_t i;
    int e = cli_call(c, "GET", "/api/v1/retention", NULL, &j);
    json_array_foreach(json_object_get(j, key), i, v)
        json_object_set_new(v, "left_hours", json_integer(json_integer_value(json_object_get(v, "left_ms")) / 3600000));
    if (e == CLI_OK && c->json)
        cli_json(json_object_get(j, key));
    else if (e == CLI_OK)
        cli_table(c, json_object_get(j, key), cols, n);
    json_decref(j);
    return e;
}

int cmd_order_list(struct cli *c)
{
    static const struct cli_col cols[] = { { "id", CLI_TEXT, "命令", "Order" }, { "kind", CLI_WORD, "種類", "Kind" },
        { "state", CLI_WORD, "状態", "State" }, { "at", CLI_TIME, "受けた時刻", "Taken at" },
        { "left_hours", CLI_TEXT, "あと(時間)", "Hours left" }, { "manifests", CLI_TEXT, "世代", "Generations" },
        { "by", CLI_TEXT, "出した人", "By" }, { "reason", CLI_TEXT, "理由", "Reason" } };
    return order_list(c, "orders", cols, sizeof cols / sizeof *cols);
}

/* What the signature will stand under, in words: what the box says of itself is no reason to sign. */
static void order_show(struct cli *c, const struct order *o)
{
    char hex[CID_HEX];
    const struct retention_policy *p = &o->policy;
    cli_note(c, T(c, "金庫の紙で署名する命令:", "the order that is signed with the recovery sheet:"));
    if (o->kind == ORDER_DATE)
        cli_note(c, T(c, "  止まっていた %llu 日を数えに入れる", "  count in %llu days switched off"),
            (unsigned long long)(o->credit_ms / (uint64_t)DAY_MS));
    if (o->kind == ORDER_POLICY)
        cli_note(c, T(c, "  残す数: 時間ごと %u、日ごと %u、週ごと %u、月ごと %u。必ず守る日数 %u",
                     "  keep %u hourly, %u daily, %u weekly, %u monthly; locked for %u days"),
            p->hourly, p->daily, p->weekly, p->monthly, p->min_days);
    for (uint32_t i = 0; i < o->manifests; i++) {
        cid_hex(&o->manifest[i], hex);
        cli_note(c, T(c, "  消す世代: %s", "  delete generation %s"), hex);
    }
}

/* Complete it, sign it with the sheet, hand it in. */
static int order_give(struct cli *c, struct order *o)
{
    struct crypto_sheet sheet = { 0 };
    struct crypto_sign_pair key = { 0 };
    struct sm_buf text = SM_BUF_INIT(ORDER_TEXT_MAX), message = SM_BUF_INIT(ORDER_TEXT_MAX + 256);
    json_t *status = NULL, *got = NULL;
    uint8_t sig[64];
    char hex[129], made[SM_TIME_TEXT];
    const char *why = cli_opt(c, "why");
    if (!why || !*why || strlen(why) > 200) {
        cli_note(c, T(c, "--why に理由がいります(200バイトまで)", "a reason is needed: --why TEXT (at most 200 bytes)"));
        return CLI_USAGE;
    }
    int e = cli_call(c, "GET", "/api/v1/status", NULL, &status);
    const char *vault = cli_str(status, "vault");
    if (e == CLI_OK && (strlen(vault) != 32 || sm_unhex(vault, 32, o->vault.b, 16)))
        e = CLI_FAILED;
    if (e == CLI_OK) {
        order_show(c, o);
        e = cli_sheet(c, cli_opt(c, "sheet"), CRYPTO_SHEET_ORDERS, &sheet);
    }
    if (e == CLI_OK && sheet.has_vault && memcmp(sheet.vault, o->vault.b, 16) != 0) {
        cli_note(c, T(c, "別の箱の紙です", "this sheet belongs to another box"));
        e = CLI_USAGE;
    }
    sm_time_rfc3339(plat_clock_wall(), made);
    (void)snprintf(o->made, sizeof o->made, "%s", made);     /* fits: 30 characters */
    (void)snprintf(o->reason, sizeof o->reason, "%s", why);  /* measured */
    crypto_random(o->nonce, sizeof o->nonce);
    int r = e == CLI_OK ? order_put(o, &text) : 0;
    if (e == CLI_OK && !r)
        r = order_message(sm_buf_span(&text), &message);
    if (e == CLI_OK && !r)
        r = crypto_sign_from_seed(sheet.secret, &key);
    if (e == CLI_OK && !r)
        r = crypto_sign(&key, sm_buf_span(&message), sig);
    crypto_sheet_wipe(&sheet);
    sm_zero(&key, sizeof key);
    if (e == CLI_OK && r) {
        cli_note(c, T(c, "命令を作れません: %s", "cannot make the order: %s"), sm_errtext(r, c->ja));
        e = CLI_USAGE;
    }
    if (e == CLI_OK) {
        sm_hex(sig, sizeof sig, hex);
        json_t *body = json_pack("{s:s%,s:s}", "order", (const char *)text.p, text.n, "sig", hex);
        e = cli_call(c, "POST", "/api/v1/retention/orders", body, &got);
    }
    if (e == CLI_OK && c->json)
        cli_json(got);
    else if (e == CLI_OK)
        printf(T(c, "受け付けました: %s\n箱が動いている時間で7日たつと実行されます。それまでは「sakimori order cancel」で止められます。\n",
            "Taken: %s\nIt is executed after seven days in which the box is on. Until then \"sakimori order cancel\" stops it.\n"),
            cli_str(got, "id"));
    sm_buf_wipe(&text);
    sm_buf_wipe(&message);
    json_decref(status);
    json_decref(got);
    return e;
}

static int by_cid(const void *a, const void *b)
{
    return memcmp(a, b, 32);
}

int cmd_order_delete(struct cli *c)
{
    struct order *o = calloc(1, sizeof *o);
    int e = o ? CLI_OK : CLI_FAILED;
    for (size_t i = 0; e == CLI_OK && cli_arg(c, i); i++) {
        char id[65];
        e = cli_generation(c, cli_arg(c, i), id);
        if (e == CLI_OK && cid_unhex(id, &o->manifest[o->manifests++]))
            e = CLI_FAILED;
    }
    if (e == CLI_OK) {
        o->kind = ORDER_DELETE;
        qsort(o->manifest, o->manifests, sizeof *o->manifest, by_cid);
        e = order_give(c, o);
    }
    free(o);
    return e;
}

/* All five are said by the person: what the box told of its present policy would be signed unseen. */
int cmd_order_policy(struct cli *c)
{
    static const char *const names[] = { "hourly", "daily", "weekly", "monthly", "min-days" };
    struct order *o = calloc(1, sizeof *o);
    uint32_t n[5] = { 0 };
    int e = o ? CLI_OK : CLI_FAILED;
    for (size_t i = 0; e == CLI_OK && i < 5; i++) {
        int64_t v = cli_number(c, names[i], i == 4 ? 1 : 0, i == 4 ? RETENTION_DAYS_MAX : RETENTION_SLOTS_MAX);
        if (v == -1)
            cli_note(c, T(c, "--%s がいります(五つの数をすべて書きます)", "--%s is needed (all five numbers are)"), names[i]);
        e = v < 0 ? CLI_USAGE : CLI_OK;
        n[i] = v < 0 ? 0 : (uint32_t)v;
    }
    if (e == CLI_OK) {
        o->kind = ORDER_POLICY;
        o->policy = (struct retention_policy){ n[0], n[1], n[2], n[3], n[4] };
        e = order_give(c, o);
    }
    free(o);
    return e;
}

int cmd_order_date(struct cli *c)
{
    struct order *o = calloc(1, sizeof *o);
    int64_t days = cli_number(c, "days", 1, 3650);
    int e = !o ? CLI_FAILED : days < 1 ? CLI_USAGE : CLI_OK;
    if (days == -1)
        cli_note(c, T(c, "--days がいります", "--days is needed"));
    if (e == CLI_OK) {
        o->kind = ORDER_DATE;
        o->credit_ms = (uint64_t)days * (uint64_t)DAY_MS;
        e = order_give(c, o);
    }
    free(o);
    return e;
}

/* POST what/ID/verb {"why"}: cancel an order, release a hold. */
static int post_why(struct cli *c, const char *what, const char *verb)
{
    struct sm_buf path = SM_BUF_INIT(1024);
    const char *why = cli_opt(c, "why");
    if (!why || !*why) {
        cli_note(c, T(c, "--why に理由がいります", "a reason is needed: --why TEXT"));
        return CLI_USAGE;
    }
    int r = sm_buf_printf(&path, "/api/v1/retention/%s/", what);
    r = r ? r : cli_escape(&path, cli_arg(c, 0));
    r = r ? r : sm_buf_printf(&path, "/%s", verb);
    int e = r ? CLI_FAILED : cli_call(c, "POST", sm_buf_str(&path), json_pack("{s:s}", "why", why), NULL);
    sm_buf_wipe(&path);
    return e;
}

int cmd_order_cancel(struct cli *c)
{
    return post_why(c, "orders", "cancel");
}

/* ---- holds ---- */

int cmd_hold_list(struct cli *c)
{
    static const struct cli_col cols[] = { { "id", CLI_TEXT, "保全", "Hold" }, { "scope", CLI_WORD, "範囲", "Of" },
        { "name", CLI_TEXT, "名前", "Name" }, { "what", CLI_SHORT, "番号", "Id" }, { "reason", CLI_TEXT, "理由", "Reason" },
        { "by", CLI_TEXT, "かけた人", "By" }, { "at", CLI_TIME, "時刻", "At" } };
    return order_list(c, "holds", cols, sizeof cols / sizeof *cols);
}

int cmd_hold_add(struct cli *c)
{
    const char *scope = cli_arg(c, 0), *what = cli_arg(c, 1), *why = cli_opt(c, "why");
    char id[65] = "";
    json_t *row = NULL, *got = NULL;
    int e = CLI_USAGE;
    if (!why || !*why)
        cli_note(c, T(c, "--why に理由がいります", "a reason is needed: --why TEXT"));
    else if (!strcmp(scope, "generation"))
        e = cli_generation(c, what, id);
    else if (!strcmp(scope, "device") || !strcmp(scope, "source"))
        e = cli_find(c, !strcmp(scope, "device") ? "/api/v1/devices" : "/api/v1/sources", what, &row);
    else
        cli_note(c, T(c, "device、source、generation のどれかです", "one of device, source, generation"));
    if (e == CLI_OK)
        e = cli_call(c, "POST", "/api/v1/retention/holds",
            json_pack("{s:s,s:s,s:s}", "scope", scope, "id", row ? cli_str(row, "id") : id, "reason", why), &got);
    if (e == CLI_OK && c->json)
        cli_json(got);
    json_decref(row);
    json_decref(got);
    return e;
}

int cmd_hold_release(struct cli *c)
{
    return post_why(c, "holds", "release");
}

/* ---- the date, quotas ---- */

int cmd_date_confirm(struct cli *c)
{
    json_t *j = NULL;
    int e = cli_call(c, "POST", "/api/v1/retention/date", json_object(), &j);
    if (e == CLI_OK && c->json)
        cli_json(j);
    else if (e == CLI_OK)
        printf(T(c, "日付を確かめました。数えに入れた時間: %lld 時間\n", "The date is confirmed. Hours counted in: %lld\n"),
            (long long)(json_integer_value(json_object_get(j, "gained_now_ms")) / 3600000));
    json_decref(j);
    return e;
}

int cmd_devices_quota(struct cli *c)
{
    json_t *row = NULL;
    char *end = NULL;
    struct sm_buf path = SM_BUF_INIT(1024);
    long long gib = strtoll(cli_arg(c, 1), &end, 10);
    int e = end && !*end && gib >= 0 && gib < 1 << 20 ? CLI_OK : CLI_USAGE;
    if (e != CLI_OK)
        cli_note(c, T(c, "GiB の数です(0 は上限なし)", "a number of GiB (0 = no limit)"));
    else
        e = cli_find(c, "/api/v1/devices", cli_arg(c, 0), &row);
    if (e == CLI_OK && sm_buf_printf(&path, "/api/v1/devices/%s/quota", cli_str(row, "id")) == 0)
        e = cli_call(c, "PUT", sm_buf_str(&path), json_pack("{s:I}", "bytes", (json_int_t)gib << 30), NULL);
    sm_buf_wipe(&path);
    json_decref(row);
    return e;
}
