/* Copies in a bucket: making one known to the box, new keys for it, and bringing a vault back from it without the box. */
#include <curl/curl.h>
#include <errno.h>

#include "core/time.h"
#include "crypto/init.h"
#include "sakimori/commands.h"
#include "vault/copy/s3.h"

struct keys { char *access, *secret; };

static int ask_keys(struct cli *c, struct keys *ret)
{
    ret->access = cli_secret(c, "access_key", T(c, "アクセスキー: ", "Access key: "));
    ret->secret = ret->access ? cli_secret(c, "secret_key", T(c, "シークレットキー: ", "Secret key: ")) : NULL;
    return ret->secret ? CLI_OK : CLI_DENIED;
}

static void drop_keys(struct keys *k)
{
    cli_secret_free(k->access);
    cli_secret_free(k->secret);
}

static const char *region_of(const struct cli *c)
{
    return cli_opt(c, "region") ? cli_opt(c, "region") : "us-east-1";
}

/* URL: https://SERVER/BUCKET/PREFIX, checked here already so that a slip is said at once. */
static int address_of(struct cli *c, const struct keys *k, json_t **ret, struct s3_conf *ret_conf)
{
    struct s3_conf at;
    char why[S3_WHY] = "", endpoint[300];
    const char *style = cli_opt(c, "style");
    int r = s3_conf_url(cli_arg(c, 0), &at, why);
    json_t *o = NULL;
    if (!r) {
        (void)snprintf(endpoint, sizeof endpoint, "%s://%s", at.plain ? "http" : "https", at.host); /* fits */
        o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:b,s:s}", "endpoint", endpoint, "bucket", at.bucket, "prefix", at.prefix,
            "region", region_of(c), "access_key", k->access, "secret_key", k->secret, "style", style ? style : "path",
            "plain", cli_flag(c, "plain-http"), "ca", cli_opt(c, "server-ca") ? cli_opt(c, "server-ca") : "");
        r = o ? s3_conf_get(o, ret_conf, why) : -ENOMEM;
    }
    if (r) {
        cli_note(c, "%s", cli_why(c, r, why));
        sm_json_drop_secret(o);
        return CLI_USAGE;
    }
    *ret = o;
    return CLI_OK;
}

static int set_more(struct cli *c, json_t *o)
{
    const char *away = cli_opt(c, "elsewhere"), *name = cli_opt(c, "name");
    int64_t days = cli_number(c, "lock-days", S3_LOCK_DAYS_MIN, S3_LOCK_DAYS_MAX), kib = cli_number(c, "bandwidth", 0, 1 << 30);
    if (days == -2 || kib == -2)
        return CLI_USAGE;
    if (away && strcmp(away, "yes") != 0 && strcmp(away, "no") != 0) {
        cli_note(c, T(c, "--elsewhere は yes か no です", "--elsewhere is yes or no"));
        return CLI_USAGE;
    }
    json_object_set_new(o, "kind", json_string("s3"));
    json_object_set_new(o, "name", json_string(name ? name : T(c, "バケットの写し", "copy in a bucket")));
    json_object_set_new(o, "elsewhere", json_boolean(!away || !strcmp(away, "yes")));
    if (days > 0)
        json_object_set_new(o, "lock_days", json_integer(days));
    if (kib > 0)
        json_object_set_new(o, "rate_bytes", json_integer(kib * 1024));
    return CLI_OK;
}

int cmd_copy_add(struct cli *c)
{
    struct keys k = { NULL, NULL };
    struct s3_conf conf;
    json_t *o = NULL, *made = NULL;
    const char *kind = cli_opt(c, "kind");
    if (kind && strcmp(kind, "s3") != 0) {
        cli_note(c, T(c, "--kind は s3 です(フォルダーとディスクは copy prepare)", "--kind is s3 (folders and disks: copy prepare)"));
        return CLI_USAGE;
    }
    int e = cli_answers_load(c);
    if (e == CLI_OK)
        e = ask_keys(c, &k);
    if (e == CLI_OK)
        e = address_of(c, &k, &o, &conf);
    drop_keys(&k);
    if (e == CLI_OK) {
        s3_conf_wipe(&conf);
        e = set_more(c, o);
    }
    if (e == CLI_OK)
        e = cli_call(c, "POST", "/api/v1/copies", o, &made);
    else
        sm_json_drop_secret(o);
    if (e == CLI_OK && c->json)
        cli_json(made);
    else if (e == CLI_OK)
        printf("%s\n", cli_str(made, "id"));
    if (e == CLI_OK && cli_flag(c, "wait")) {
        char path[160];
        (void)snprintf(path, sizeof path, "/api/v1/copies/%.80s", cli_str(made, "id")); /* ids are short */
        e = copy_watch(c, path);
    } else if (e == CLI_OK && !c->json) {
        cli_note(c, T(c, "最初の写しを始めます。様子は sakimori copies で見られます。",
            "the first run begins; look at it with: sakimori copies"));
    }
    json_decref(made);
    return e;
}

int cmd_copy_keys(struct cli *c)
{
    struct keys k = { NULL, NULL };
    json_t *o = NULL;
    char path[160];
    int e = cli_answers_load(c);
    if (e == CLI_OK)
        e = cli_find(c, "/api/v1/copies", cli_arg(c, 0), &o);
    (void)snprintf(path, sizeof path, "/api/v1/copies/%.80s/keys", cli_str(o, "id")); /* ids are short */
    if (e == CLI_OK)
        e = ask_keys(c, &k);
    if (e == CLI_OK)
        e = cli_call(c, "POST", path, json_pack("{s:s,s:s}", "access_key", k.access, "secret_key", k.secret), NULL);
    drop_keys(&k);
    json_decref(o);
    return e;
}

/* ---- back from the bucket ---- */

struct fetching { struct cli *c; uint64_t damaged; };

static int on_progress(void *arg, const struct s3_fetch_progress *p)
{
    const struct fetching *f = arg;
    cli_progress(f->c, T(f->c, "取りもどし中", "fetching"), p->bytes, p->bytes_total, "");
    return 0;
}

static void on_damage(void *arg, const char *name, const char *why)
{
    struct fetching *f = arg;
    f->damaged++;
    cli_progress_end(f->c);
    cli_note(f->c, "%s: %s", name, why);
}

/* "2026-11-24T08:30:00+09:00", or a day alone: its beginning in Japan. */
static int before_of(struct cli *c, int64_t *ret)
{
    const char *text = cli_opt(c, "before");
    char whole[SM_TIME_TEXT];
    struct sm_time t;
    *ret = 0;
    if (!text)
        return CLI_OK;
    (void)snprintf(whole, sizeof whole, strchr(text, 'T') ? "%.30s" : "%.10sT00:00:00+09:00", text); /* measured */
    if (sm_time_parse(whole, &t) < 0) {
        cli_note(c, T(c, "--before は 2026-11-24 のような日か時刻です", "--before is a day as 2026-11-24, or a time"));
        return CLI_USAGE;
    }
    *ret = t.s;
    return CLI_OK;
}

static int fetch(struct cli *c, const struct s3_conf *conf, int64_t before_s, const char *to)
{
    struct s3_args a = { .conf = conf, .before_s = before_s };
    struct fetching f = { .c = c };
    struct vault_id vault;
    uint8_t pub[32];
    int64_t at;
    void *t = NULL;
    char why[S3_WHY] = "", id[33], when[SM_TIME_TEXT];
    int r = crypto_init();
    if (!r)
        r = s3_open(&a, &t, why);
    if (!r) {
        s3_who(t, &vault, pub, &at);
        sm_hex(vault.b, 16, id);
        sm_time_jst((struct sm_time){ .s = at }, when);
        cli_note(c, T(c, "保管庫 %s、%s の写し", "vault %s, the copy of %s"), id, when);
        r = s3_fetch(t, to, on_progress, on_damage, &f, why);
        cli_progress_end(c);
    }
    if (t)
        copy_s3.close(t);
    if (r) {
        cli_note(c, "%s", cli_why(c, r, why));
        return r == -SM_ENOTFOUND ? CLI_NOT_FOUND : r == -SM_EAUTH || r == -EACCES ? CLI_DENIED :
            r == -SM_EPEER ? CLI_UNREACHABLE : CLI_FAILED;
    }
    printf("%s\n", to);
    if (!c->json)
        cli_note(c, T(c, "次に: sakimori recover --vault %s --list", "next: sakimori recover --vault %s --list"), to);
    return f.damaged ? CLI_PARTIAL : CLI_OK;
}

int cmd_copy_fetch(struct cli *c)
{
    struct keys k = { NULL, NULL };
    struct s3_conf conf;
    json_t *o = NULL;
    int64_t before_s = 0;
    const char *to = cli_opt(c, "to");
    if (cli_flag(c, "box"))
        return copy_fetch_box(c);
    if (!to) {
        cli_note(c, T(c, "--to フォルダー が要ります", "--to DIR is needed"));
        return CLI_USAGE;
    }
    int e = before_of(c, &before_s);
    if (e == CLI_OK)
        e = cli_answers_load(c);
    if (e == CLI_OK)
        e = ask_keys(c, &k);
    if (e == CLI_OK)
        e = address_of(c, &k, &o, &conf);
    drop_keys(&k);
    sm_json_drop_secret(o);
    if (e != CLI_OK)
        return e;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        e = CLI_FAILED;
    else
        e = fetch(c, &conf, before_s, to);
    curl_global_cleanup();
    s3_conf_wipe(&conf);
    return e;
}
