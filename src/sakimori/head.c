/* head: the signed head of the vault's record, shown, and compared with one that was kept on a mail or on paper. */
#include <errno.h>
#include <fcntl.h>
#include "crypto/headtext.h"
#include "plat/fs.h"
#include "sakimori/commands.h"
#include "sakimori/vaultdir.h"
#include "vault/store/store.h"

int cmd_head_show(struct cli *c)
{
    static const struct cli_col cols[] = { { "short", CLI_TEXT, "しるし", "Head" }, { "long", CLI_TEXT, "署名つき", "Signed" } };
    json_t *j = NULL;
    int e = cli_call(c, "GET", "/api/v1/head", NULL, &j);
    if (e == CLI_OK)
        json_object_del(j, "qr_svg");
    if (e == CLI_OK && c->json)
        cli_json(j);
    else if (e == CLI_OK)
        cli_record(c, j, cols, 2);
    json_decref(j);
    return e;
}

static int told(struct cli *c, const char *result, json_int_t seq)
{
    static const struct { const char *result, *ja, *en; int exit; } rows[] = {
        { "continues", "合っています: 記録はこのしるし(%lld 番)から続いています\n", "sound: the record continues this head (no. %lld)\n", CLI_OK },
        { "rolled-back", "合いません: 記録はこのしるし(%lld 番)より前にもどされています。業者に電話してください\n",
            "ROLLED BACK: the record ends before this head (no. %lld).  Call your vendor\n", CLI_FAILED },
        { "behind", "分かりません: この写しは、しるし(%lld 番)より古いです。箱か、新しい写しと比べてください\n",
            "cannot tell: this copy is older than the head (no. %lld).  Compare with the box, or a newer copy\n",
            CLI_NOT_FOUND },
        { "forked", "合いません: %lld 番に別の記録があります。業者に電話してください\n",
            "FORKED: another record stands at no. %lld.  Call your vendor\n", CLI_FAILED },
        { "foreign", "この箱のしるしではありません(%lld 番)\n", "not a head of this box (no. %lld)\n", CLI_NOT_FOUND },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(result, rows[i].result)) {
            if (c->json)
                printf("{\"result\":\"%s\",\"seq\":%lld}\n", result, (long long)seq);
            else
                printf(c->ja ? rows[i].ja : rows[i].en, (long long)seq);
            return rows[i].exit;
        }
    cli_note(c, T(c, "箱の返事が分かりません", "the box answered something unexpected"));
    return CLI_FAILED;
}

static int check_folder(struct cli *c, struct sm_span text)
{
    struct headtext t;
    struct store *st = NULL;
    uint8_t is[32];
    int r = headtext_parse(text, &t);
    if (r < 0) {
        cli_note(c, r == -SM_EFORMAT ? T(c, "しるしの文字が、どこかちがいます", "the head is mistyped somewhere")
                                     : T(c, "しるし(SKH1- か SKHF-)がありません", "there is no head (SKH1- or SKHF-) in it"));
        return CLI_USAGE;
    }
    int e = vaultdir_open(c, &st);
    if (e != CLI_OK)
        return e;
    bool foreign = t.whole && memcmp(t.head, store_vault(st)->b, 16) != 0;
    r = store_journal(st) ? journal_hash_at(store_journal(st), t.seq, is) : -SM_ECORRUPT;
    store_close(st);
    /* A copy is behind from one copying to the next.  The box's own record never is. */
    char *dir = vaultdir_path(c);
    bool copy = dir && !vaultdir_is_box(dir);
    free(dir);
    if (r < 0 && r != -SM_ENOTFOUND) {
        cli_note(c, T(c, "記録が読めません: %s", "the record cannot be read: %s"), sm_errtext(r, c->ja));
        return CLI_FAILED;
    }
    return told(c, foreign ? "foreign" : r ? (copy ? "behind" : "rolled-back") : memcmp(is, t.hash, t.hash_n) ? "forked"
        : "continues", (json_int_t)t.seq);
}

static int check(struct cli *c, struct sm_span text)
{
    json_t *j = NULL, *body = json_object();
    if (cli_opt(c, "vault")) {
        json_decref(body);
        return check_folder(c, text);
    }
    if (body)
        json_object_set_new(body, "text", json_stringn((const char *)text.p, text.n));
    int e = cli_call(c, "POST", "/api/v1/head/check", body, &j);
    if (e == CLI_OK)
        e = told(c, cli_str(j, "result"), json_integer_value(json_object_get(j, "seq")));
    json_decref(j);
    return e;
}

int cmd_head_check(struct cli *c)
{
    const char *file = cli_opt(c, "file"), *text = cli_arg(c, 0);
    struct sm_buf b = SM_BUF_INIT(HEADTEXT_TEXT_MAX);
    if (!file == !text) {
        cli_note(c, T(c, "しるしの文字か --file がいります", "the head's text or --file is needed"));
        return CLI_USAGE;
    }
    int r = file ? plat_fs_read_file(AT_FDCWD, file, HEADTEXT_TEXT_MAX, &b) : 0;
    if (r < 0)
        cli_note(c, "%s: %s", file, sm_errtext(r, c->ja));
    int e = r < 0 ? CLI_USAGE : check(c, file ? sm_buf_span(&b) : SM_SPAN_STR(text));
    sm_buf_wipe(&b);
    return e;
}
