/* copy fetch --box: the copy at another box comes back, with a code that the other institution makes; no box is needed. */
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "crypto/init.h"
#include "crypto/x509.h"
#include "sakimori/commands.h"
#include "vault/copy/box_fetch.h"

#define CODE_HEAD "SKP1"

/* "SKP1-…" as people type it. */
static int code_read(const char *text, struct box_join *j)
{
    struct sm_buf plain = SM_BUF_INIT(128), raw = SM_BUF_INIT(128);
    int r = 0;
    for (const char *p = text; *p && !r; p++)
        if (*p != '-' && *p != ' ')
            r = sm_buf_put_u8(&plain, (uint8_t)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p));
    if (!r && (plain.n <= 4 || memcmp(plain.p, CODE_HEAD, 4) != 0))
        r = -SM_EFORMAT;
    if (!r) {
        sm_buf_shift(&plain, 4);
        r = sm_unbase32(sm_buf_span(&plain), &raw);
    }
    if (!r && raw.n != BOX_SECRET_LEN + BOX_PIN_LEN)
        r = -SM_EFORMAT;
    if (!r) {
        memcpy(j->secret, raw.p, BOX_SECRET_LEN);
        memcpy(j->pin, raw.p + BOX_SECRET_LEN, BOX_PIN_LEN);
    }
    sm_buf_wipe(&plain);
    sm_buf_wipe(&raw);
    return r;
}

static int on_progress(void *arg, const struct box_fetch_progress *p)
{
    const struct cli *c = arg;
    cli_progress(c, T(c, "取りもどし中", "fetching"), p->bytes, p->bytes_total, "");
    return 0;
}

static void on_damage(void *arg, const char *name, const char *why)
{
    const struct cli *c = arg;
    cli_progress_end(c);
    cli_note(c, "%s: %s", name, why);
}

static int failed(struct cli *c, int r, const char *why)
{
    cli_note(c, "%s", cli_why(c, r, why));
    return r == -SM_EDENIED || r == -SM_EAUTH ? CLI_DENIED : r == -SM_EPEER || r == -SM_ETIME ? CLI_UNREACHABLE : CLI_FAILED;
}

static int bring(struct cli *c, const struct box_join *j, const char *to)
{
    struct sm_buf cert = SM_BUF_INIT(16384), ca = SM_BUF_INIT(16384);
    struct box_fetch_progress p = { 0 };
    const struct box_fetch_hooks h = { on_progress, on_damage, c };
    char why[BOX_WHY] = "";
    void *t = NULL;
    int r = box_join(j, &cert, &ca, why);
    if (!r) {
        const struct box_args a = { .url = j->url, .ca = sm_buf_str(&ca), .cert = sm_buf_str(&cert), .key = j->key };
        r = box_open(&a, &t, why);
    }
    if (!r)
        r = box_fetch(t, to, &h, &p, why);
    cli_progress_end(c);
    if (t)
        copy_box.close(t);
    sm_buf_wipe(&cert);
    sm_buf_wipe(&ca);
    if (r)
        return failed(c, r, why);
    printf("%s\n", to);
    if (!c->json)
        cli_note(c, T(c, "%llu 個のファイル。次に: sakimori recover --vault %s --list", "%llu files; next: sakimori recover --vault %s --list"),
            (unsigned long long)p.files_total, to);
    return p.damaged ? CLI_PARTIAL : CLI_OK;
}

int copy_fetch_box(struct cli *c)
{
    struct box_join j = { .url = cli_arg(c, 0), .vault = "", .head_pub = "", .label = "", .institution = "" };
    struct sm_buf key = SM_BUF_INIT(4096);
    const char *to = cli_opt(c, "to");
    if (!to || strncmp(j.url, "https://", 8) != 0) {
        cli_note(c, to ? T(c, "相手の箱のアドレスは https://名前:番号 の形です", "the address of the other box has the form https://HOST:PORT")
                       : T(c, "--to フォルダー が要ります", "--to DIR is needed"));
        return CLI_USAGE;
    }
    char *code = cli_secret(c, "code", T(c, "相手の箱のコード (SKP1-…): ", "code of the other box (SKP1-…): "));
    if (!code)
        return CLI_USAGE;
    int r = crypto_init(), e = CLI_USAGE;
    bool typed = code_read(code, &j) == 0;
    cli_secret_free(code);
    if (!typed) {
        cli_note(c, T(c, "コードの文字が足りないか、ちがいます。SKP1- で始まります", "the code is mistyped: it begins with SKP1-"));
    } else if (r || (r = crypto_x509_key_new(&key)) != 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        e = failed(c, r ? r : -ENOMEM, "");
    } else {
        j.key = sm_buf_str(&key);
        e = bring(c, &j, to);
        curl_global_cleanup();
    }
    sm_zero(&j.secret, sizeof j.secret);
    if (key.p)
        sm_zero(key.p, key.n);
    sm_buf_wipe(&key);
    return e;
}
